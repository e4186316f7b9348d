#pragma once

/// Marks a function that is compiled for several vector widths and chosen when the program is loaded. Its helpers must
/// be inlined into it. Without contraction and reassociation every version gives the same bits.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TARTAN_MULTIVERSION __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define TARTAN_MULTIVERSION
#endif
#define TARTAN_INLINE [[gnu::always_inline]] inline
