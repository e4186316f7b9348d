"""Arrays of a PyTorch oracle as a C++ header."""

import pathlib
import sys

import torch


def dyadic(shape, factor, shift, modulus, denominator, dtype):
    """Small binary fractions, another one at every index: exact in every type, and as easily made in C++."""
    n = torch.Size(shape).numel()
    numbers = [((factor * i + shift) % modulus - modulus // 2) / denominator for i in range(n)]
    return torch.tensor(numbers, dtype=dtype).reshape(shape)


def write_header(script, name, arrays):
    """`name`.hpp beside `script`: inline const std::map from the names of arrays to their elements."""
    lines = [
        f"// Made by {pathlib.Path(script).name} with PyTorch {torch.__version__}: do not edit.",
        "#pragma once",
        "",
        "#include <map>",
        "#include <string>",
        "#include <vector>",
        "",
        "namespace tartan::testing {",
        "",
        "// clang-format off",
        f"inline const std::map<std::string, std::vector<double>> {name}{{",
    ]
    for key, tensor in arrays.items():
        lines.append(f'    {{"{key}", {{')
        row = "       "
        for number in tensor.detach().flatten().numpy():
            text = f" {number!s},"
            if len(row + text) > 120:
                lines.append(row)
                row = "       "
            row += text
        lines += [row, "    }},"]
    lines += ["};", "// clang-format on", "", "}  // namespace tartan::testing", ""]
    path = pathlib.Path(script).with_name(f"{name}.hpp")
    path.write_text("\n".join(lines))
    print(f"{path}: {len(arrays)} arrays", file=sys.stderr)
