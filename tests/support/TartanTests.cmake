# tartan_test(<name> SOURCES <glob>... [LIBRARIES <target>...] [TIMEOUT <s>] [LABELS <label>...])
#   One Catch2 binary and one test of the same name, on one rank.
# tartan_mpi_test(<name> SOURCES <glob>... RANKS <K>... [LIBRARIES ...] [TIMEOUT <s>] [LABELS ...])
#   One Catch2 binary and a test <name>.np<K> for each number of ranks.
# tartan_simulated_test(<name> RANKS <K>... [TIMEOUT <s>])
#   The binary <name> again, as tests <name>.cuda.np<K>, with every tensor on a simulated CUDA device; nothing where the
#   build has no simulated devices.
# tartan_device_mpi_test(<name> RANKS <K>...)
#   The same as tests <name>.mpi.np<K>, with an MPI that takes memory of devices, as far as cudaMalloc gave it.
# tartan_nccl_test(<name> RANKS <K>... [TIMEOUT <s>] [ARGUMENTS <argument>...] [ENVIRONMENT <variable>=<value>...])
#   The same as tests <name>.nccl.np<K>, each rank with a simulated device of its own; `name` may have a suffix after a
#   point.
# tartan_mpi_command(<out> <K> <seconds> <command>...)
#   The command line that runs a command on K ranks and kills it after that time.
# By hand: mpiexec --oversubscribe -n 3 tests/test_comm "name of a test case"

find_package(Catch2 REQUIRED)
find_program(TIMEOUT_EXECUTABLE timeout REQUIRED)
mark_as_advanced(TIMEOUT_EXECUTABLE)

# Other MPIs refuse the flag. MPIEXEC_MAX_NUMPROCS is the number of cores: it says nothing about what can be run.
execute_process(COMMAND ${MPIEXEC_EXECUTABLE} --version OUTPUT_VARIABLE mpiexec_version ERROR_QUIET)
set(tartan_mpiexec ${MPIEXEC_EXECUTABLE})
if(mpiexec_version MATCHES "Open MPI|OpenRTE|PRRTE")
  list(APPEND tartan_mpiexec --oversubscribe)
endif()
set(tartan_test_environment
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
  OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none)

add_library(tartan_test_support OBJECT support/main.cpp support/pmpi.cpp)
target_include_directories(tartan_test_support PUBLIC . ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src ${tartan_build_headers})
target_link_libraries(tartan_test_support PUBLIC Tartan::tartan Catch2::Catch2 fmt::fmt)
target_precompile_headers(tartan_test_support PRIVATE support/catch.hpp)  # a third of the time of compiling a test
set_source_files_properties(support/main.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON)  # which asks for more of that header
if(NOT TARTAN_CUDA STREQUAL "SIMULATED")
  # Optimising a test takes longer than it saves when the test runs once; what it tests is optimised as the preset says,
  # but for inline functions.
  # Simulated kernels and tests share inline functions, and those are to stay as the preset says.
  target_compile_options(tartan_test_support PUBLIC -Og -ffp-contract=off $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
# Under sanitizers, these checks in a test take as long to compile as the test; the library has them all.
target_compile_options(tartan_test_support PUBLIC
  $<$<CXX_COMPILER_ID:GNU,Clang>:-fno-sanitize=vptr,null,alignment,object-size>)

# Each command has a folder of its own for what Open MPI keeps while it runs: jobs that start and end at the same time
# otherwise race for the one in /tmp, and one of them fails.
function(tartan_mpi_command out ranks seconds)
  set_property(GLOBAL APPEND PROPERTY tartan_mpi_commands ${ranks})
  get_property(commands GLOBAL PROPERTY tartan_mpi_commands)
  list(LENGTH commands count)
  set(${out} ${CMAKE_COMMAND} -E env OMPI_MCA_orte_tmpdir_base=${PROJECT_BINARY_DIR}/mpi/${count}
    ${TIMEOUT_EXECUTABLE} -k 5 ${seconds} ${tartan_mpiexec} ${MPIEXEC_NUMPROC_FLAG} ${ranks} ${ARGN} PARENT_SCOPE)
endfunction()

function(tartan_test_binary name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  file(GLOB sources CONFIGURE_DEPENDS ${arg_SOURCES})
  if(NOT arg_SOURCES MATCHES "/cuda_")  # those need a device
    list(FILTER sources EXCLUDE REGEX "/cuda_[^/]*$")
  endif()
  list(REMOVE_DUPLICATES sources)
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE tartan_test_support ${arg_LIBRARIES})
  target_precompile_headers(${name} REUSE_FROM tartan_test_support)
endfunction()

# PROCESSORS counts half cores: a rank at work takes two, a job that mostly waits takes one. Hence `--parallel` of twice the
# number of cores in scripts/test.
function(tartan_add_test name ranks seconds labels)
  add_test(NAME ${name} COMMAND ${ARGN})
  math(EXPR half_cores "2 * ${ranks}")
  math(EXPR limit "${seconds} + 10")  # `timeout` comes first and ends all ranks
  set_tests_properties(${name} PROPERTIES
    PROCESSORS ${half_cores} TIMEOUT ${limit} LABELS "${labels}" ENVIRONMENT "${tartan_test_environment}")
  if("gpu" IN_LIST labels AND TARTAN_CUDA STREQUAL "ON")
    set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT TARTAN_TESTS_NEED_DEVICE=1)
    set_property(TEST ${name} PROPERTY SKIP_RETURN_CODE 77)
  endif()
endfunction()

function(tartan_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;LIBRARIES;LABELS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  tartan_test_binary(${name} SOURCES ${arg_SOURCES} LIBRARIES ${arg_LIBRARIES})
  tartan_add_test(${name} 1 ${arg_TIMEOUT} "serial;${arg_LABELS}" ${TIMEOUT_EXECUTABLE} -k 5 ${arg_TIMEOUT} $<TARGET_FILE:${name}>)
endfunction()

function(tartan_mpi_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;RANKS;LIBRARIES;LABELS")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  tartan_test_binary(${name} SOURCES ${arg_SOURCES} LIBRARIES ${arg_LIBRARIES})
  foreach(ranks IN LISTS arg_RANKS)
    tartan_mpi_command(command ${ranks} ${arg_TIMEOUT} $<TARGET_FILE:${name}>)
    tartan_add_test(${name}.np${ranks} ${ranks} ${arg_TIMEOUT} "mpi;${arg_LABELS}" ${command})
  endforeach()
endfunction()

function(tartan_simulated_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "RANKS")
  if(NOT TARTAN_CUDA STREQUAL "SIMULATED")
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  foreach(ranks IN LISTS arg_RANKS)
    tartan_mpi_command(command ${ranks} ${arg_TIMEOUT} $<TARGET_FILE:${name}>)
    tartan_add_test(${name}.cuda.np${ranks} ${ranks} ${arg_TIMEOUT} "mpi;gpu" ${command})
    set_property(TEST ${name}.cuda.np${ranks} APPEND PROPERTY ENVIRONMENT TARTAN_DEVICE=cuda TARTAN_TRANSPORT=staging)
  endforeach()
endfunction()

function(tartan_device_mpi_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "RANKS")
  if(NOT TARTAN_CUDA STREQUAL "SIMULATED")
    return()
  endif()
  foreach(ranks IN LISTS arg_RANKS)
    tartan_mpi_command(command ${ranks} 300 $<TARGET_FILE:${name}>)
    tartan_add_test(${name}.mpi.np${ranks} ${ranks} 300 "mpi;gpu" ${command})
    # The system's copies between processes know nothing of what the simulation lets through.
    set_property(TEST ${name}.mpi.np${ranks} APPEND PROPERTY ENVIRONMENT TARTAN_SIMULATED_CUDA_HOST_READS=shareable
      TARTAN_TRANSPORT=mpi OMPI_MCA_btl_vader_single_copy_mechanism=none)
  endforeach()
endfunction()

function(tartan_nccl_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "RANKS;ARGUMENTS;ENVIRONMENT")
  if(NOT TARTAN_CUDA STREQUAL "SIMULATED" OR NOT tartan_nccl)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  string(REGEX REPLACE "\\..*" "" binary ${name})
  foreach(ranks IN LISTS arg_RANKS)
    tartan_mpi_command(command ${ranks} ${arg_TIMEOUT} $<TARGET_FILE:${binary}> ${arg_ARGUMENTS})
    tartan_add_test(${name}.nccl.np${ranks} ${ranks} ${arg_TIMEOUT} "mpi;gpu" ${command})
    set_property(TEST ${name}.nccl.np${ranks} APPEND PROPERTY ENVIRONMENT
      TARTAN_SIMULATED_CUDA_DEVICES=${ranks} TARTAN_TESTS_NEED_NCCL=1 ${arg_ENVIRONMENT})
  endforeach()
endfunction()
