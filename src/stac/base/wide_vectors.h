#pragma once

// Before the definition of a function that loops over numbers: it is compiled for several
// generations of processors, of which the program takes the best that is there when it starts. For
// functions that call nothing but what is inlined into them. With -ffp-contract=off all of them
// round alike.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define STAC_WIDE_VECTORS \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define STAC_WIDE_VECTORS
#endif
