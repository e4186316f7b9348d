#!/usr/bin/env bash
# The row kernels against memcpy, then against PyTorch and FBGEMM, with the machine, the build and its load:
#   benchmarks/embedding.sh [BUILD-FOLDER [PYTHON [OPTION...]]]
# PYTHON has PyTorch and perhaps FBGEMM, for example that of an environment made by
#   python3 -m venv FOLDER && FOLDER/bin/pip install torch fbgemm-gpu-cpu numpy     # versions that fit each other
# or Debian's python3 with python3-torch. OPTIONs go to embedding_peers.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${1:-$here/build/release}
python=${2:-python3}
shift $(($# < 2 ? $# : 2))
library=$build/benchmarks/libembedding_c.so
[[ -f $library ]] || { echo "embedding.sh: no $library: build the targets embedding_c and embedding_kernels" >&2; exit 1; }

date -u +%Y-%m-%d
sed -n 's/^model name.*: //p' /proc/cpuinfo | sort | uniq -c
echo "transparent huge pages: $(cat /sys/kernel/mm/transparent_hugepage/enabled)"
uptime
"$build/benchmarks/embedding_kernels" 20
uptime
"$python" "$here/benchmarks/embedding_peers.py" "$library" "$@"
uptime
