# Products of matrices on the processor: Eigen, headers only and in one file only, compiled for several instruction sets, of
# which the best is chosen at run time (kernels/cpu/gemm_x86.cpp). What is installed does not need Eigen. Each copy has it
# under a name of its own, because functions that are compiled for different processors must not be merged, with each
# other or with those of a program that has Eigen too.

# Gives the target `tartan` the products.
function(tartan_add_gemm)
  set(baseline_flags "")
  set(avx2_flags -mavx2 -mfma)
  # GCC 12 takes the undefined vectors in its own header for faults. Clang does not know the name of that warning.
  set(avx512_flags ${avx2_flags} -mavx512f -mavx512dq -mavx512vl -mavx512bw -Wno-uninitialized
    -Wno-unknown-warning-option -Wno-maybe-uninitialized)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" AND CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    set(sets baseline avx2 avx512)
    target_sources(tartan PRIVATE kernels/cpu/gemm_x86.cpp)
  else()
    set(sets baseline)
    target_sources(tartan PRIVATE kernels/cpu/gemm_portable.cpp)
  endif()
  foreach(set ${sets})
    set(copy tartan_gemm_${set})
    add_library(${copy} OBJECT kernels/cpu/gemm_set.cpp)
    target_compile_features(${copy} PRIVATE cxx_std_20)
    target_compile_options(${copy} PRIVATE -ffp-contract=off -fno-trapping-math ${${set}_flags})
    target_compile_definitions(${copy} PRIVATE TARTAN_SET=${set} Eigen=tartan_eigen_${set} EIGEN_DONT_PARALLELIZE)
    target_include_directories(${copy} PRIVATE include ${PROJECT_SOURCE_DIR})
    target_link_libraries(${copy} PRIVATE Eigen3::Eigen)
    set_target_properties(${copy} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_sources(tartan PRIVATE $<TARGET_OBJECTS:${copy}>)
  endforeach()
endfunction()
