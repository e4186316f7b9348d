# TARTAN_CUDA: what becomes of kernels/cuda/*.cu, which are written once and built in two ways.
#   OFF        they are left out
#   ON         nvcc compiles them
#   SIMULATED  the C++ compiler does, against tests/simulated_cuda: everything that runs on a device can then be tested
#              on a machine without one. Never installed.

set(TARTAN_CUDA OFF CACHE STRING "CUDA kernels: OFF, ON, or SIMULATED (on the processor, for tests)")
set_property(CACHE TARTAN_CUDA PROPERTY STRINGS OFF ON SIMULATED)
if(NOT TARTAN_CUDA MATCHES "^(OFF|ON|SIMULATED)$")
  message(FATAL_ERROR "TARTAN_CUDA=${TARTAN_CUDA}, but it is one of OFF, ON (needs nvcc) and SIMULATED (for tests)")
endif()

if(TARTAN_CUDA STREQUAL "ON")
  find_program(CMAKE_CUDA_COMPILER nvcc PATHS /usr/local/cuda/bin)
  if(NOT CMAKE_CUDA_COMPILER)
    message(FATAL_ERROR "TARTAN_CUDA=ON, but there is no nvcc in PATH or /usr/local/cuda/bin; see docs/building.md")
  endif()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES "80-real;90-real;90-virtual" CACHE STRING "GPUs to compile for" FORCE)
  endif()
  if(CMAKE_CXX_COMPILER_LAUNCHER AND NOT DEFINED CMAKE_CUDA_COMPILER_LAUNCHER)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
elseif(TARTAN_CUDA STREQUAL "SIMULATED" AND TARTAN_INSTALL)
  message(STATUS "TARTAN_CUDA=SIMULATED is never installed: no install target")
  set(TARTAN_INSTALL OFF)
endif()
if(TARTAN_CUDA STREQUAL "SIMULATED")
  set(BUILD_SHARED_LIBS ON)  # so that code of the library can be told from that of a program
endif()

# <tartan_build/cuda.hpp>, for the library's own sources and tests.
set(tartan_build_headers ${PROJECT_BINARY_DIR}/private)
if(TARTAN_CUDA STREQUAL "OFF")
  set(built_with_cuda false)
else()
  set(built_with_cuda true)
endif()
configure_file(cmake/cuda.hpp.in ${tartan_build_headers}/tartan_build/cuda.hpp @ONLY)

# TARTAN_NCCL: whether device tensors may travel by NCCL. Its header is needed here, its library where programs run.
set(TARTAN_NCCL AUTO CACHE STRING "NCCL between CUDA devices: AUTO (where nccl.h is found), ON or OFF")
set_property(CACHE TARTAN_NCCL PROPERTY STRINGS AUTO ON OFF)
set(tartan_nccl OFF)
if(TARTAN_CUDA STREQUAL "SIMULATED" AND TARTAN_NCCL)
  set(tartan_nccl ON)
elseif(TARTAN_NCCL AND TARTAN_CUDA)
  find_path(NCCL_INCLUDE_DIR nccl.h PATHS ${CUDAToolkit_INCLUDE_DIRS})
  mark_as_advanced(NCCL_INCLUDE_DIR)
  if(NCCL_INCLUDE_DIR)
    set(tartan_nccl ON)
  elseif(TARTAN_NCCL STREQUAL "AUTO")
    message(STATUS "no nccl.h: device tensors travel through MPI only (NCCL_INCLUDE_DIR says where to look)")
  else()
    message(FATAL_ERROR "TARTAN_NCCL=${TARTAN_NCCL}, but there is no nccl.h: set NCCL_INCLUDE_DIR")
  endif()
elseif(TARTAN_NCCL AND NOT TARTAN_NCCL STREQUAL "AUTO")
  message(FATAL_ERROR "TARTAN_NCCL=${TARTAN_NCCL} needs TARTAN_CUDA=ON")
endif()

# Gives the target `tartan` the sources and flags of that choice.
function(tartan_add_cuda)
  file(GLOB runtime CONFIGURE_DEPENDS src/device/cuda_runtime*.cpp)
  file(GLOB absent CONFIGURE_DEPENDS src/device/cuda_absent*.cpp)
  file(GLOB kernels CONFIGURE_DEPENDS kernels/cuda/*.cu)
  if(tartan_nccl)
    target_sources(tartan PRIVATE src/device/cuda_nccl.cpp)
    target_link_libraries(tartan PRIVATE ${CMAKE_DL_LIBS})
    if(NCCL_INCLUDE_DIR)
      # After all others: the folder may be one that has many packages' headers.
      set_source_files_properties(src/device/cuda_nccl.cpp PROPERTIES COMPILE_OPTIONS "-idirafter;${NCCL_INCLUDE_DIR}")
    endif()
  else()
    target_sources(tartan PRIVATE src/device/cuda_nccl_absent.cpp)
  endif()
  if(TARTAN_CUDA STREQUAL "OFF")
    target_sources(tartan PRIVATE ${absent})
    return()
  endif()
  target_sources(tartan PRIVATE ${runtime} ${kernels})
  if(TARTAN_CUDA STREQUAL "ON")
    # As on the processor: no contraction, division and square roots as IEEE 754 has them.
    # -std here and not as a property: CMake 3.25 does not know that nvcc has C++20.
    # Unused variables are found by g++; nvcc takes some for unused that are not.
    set(flags -std=c++20 -diag-suppress=177 --fmad=false -prec-div=true -prec-sqrt=true --expt-relaxed-constexpr --extended-lambda
      -Xcompiler=-ffp-contract=off)
    target_compile_options(tartan PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${flags}>")
    target_compile_definitions(tartan PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>)  # fmt 9 doubts nvcc
    target_link_libraries(tartan PRIVATE CUDA::cudart CUDA::cublas)
  else()
    add_subdirectory(tests/simulated_cuda)
    simulated_cuda_sources(${kernels})
    target_link_libraries(tartan PRIVATE simulated_cuda)
    target_compile_options(tartan PRIVATE -fno-optimize-sibling-calls)  # callers show in backtraces
    target_link_options(tartan PRIVATE LINKER:-Bsymbolic-functions)     # also those of functions that programs have too
  endif()
endfunction()
