# How jobs end: small programs under mpiexec, judged by exit status, time and output.

add_executable(ending comm/programs/ending.cpp)
target_link_libraries(ending PRIVATE Tartan::tartan)
tartan_test_binary(failing SOURCES comm/programs/failing.cpp)

# tartan_ending_test(<name> <ranks> <success|failure> <command>... [SHOWS <text>...] [SHOWS_ONCE <text>...]
#                    [ENVIRONMENT <variable=value>...])
function(tartan_ending_test name ranks status)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "SHOWS;SHOWS_ONCE;ENVIRONMENT")
  tartan_mpi_command(command ${ranks} 60 ${arg_UNPARSED_ARGUMENTS})
  add_test(NAME ending.${name} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${command}" -DSTATUS=${status} -DSECONDS=20
    "-DSHOWS=${arg_SHOWS}" "-DSHOWS_ONCE=${arg_SHOWS_ONCE}" -P ${CMAKE_CURRENT_SOURCE_DIR}/comm/programs/expect_ending.cmake)
  set_tests_properties(ending.${name} PROPERTIES
    PROCESSORS 1 TIMEOUT 70 LABELS mpi ENVIRONMENT "${tartan_test_environment};${arg_ENVIRONMENT}")
endfunction()

set(ending $<TARGET_FILE:ending>)
tartan_ending_test(well 3 success ${ending} well 0)
tartan_ending_test(late 3 success ${ending} late 1 ENVIRONMENT TARTAN_DEADLINE=0.01
  SHOWS_ONCE "tartan: rank 0 is at its end and waits for the others, up to 3600 s (TARTAN_END_DEADLINE)")
tartan_ending_test(swallowed 3 failure ${ending} swallowed 1
  SHOWS_ONCE "tartan: rank 1: error: the communicator \"world\" is finished after: a fault of MPI")
tartan_ending_test(all_throw 4 failure ${ending} all-throw 0 SHOWS_ONCE "tartan: rank 0: error: a grid that fits no rank")
tartan_ending_test(throw_alone 3 failure ${ending} throw-alone 1 SHOWS_ONCE "tartan: rank 1: error: fault of rank 1")
tartan_ending_test(throw_int 3 failure ${ending} throw-int 2
  SHOWS_ONCE "tartan: rank 2: error: an exception that is no std::exception")
tartan_ending_test(out_of_memory 3 failure ${ending} out-of-memory 1 SHOWS_ONCE "tartan: rank 1: error: out of memory")
tartan_ending_test(empty_function 3 failure ${ending} empty-function 1
  SHOWS_ONCE "tartan: rank 1: error: an exception of the type std::bad_function_call: bad_function_call")
tartan_ending_test(outlive 3 success ${ending} outlive 0)
# The ranks' own standard output: mpiexec's would swallow it.
set(lost "error: not all of standard output could be written")
tartan_ending_test(full_disk 3 failure sh -c "exec ${ending} print 1 > /dev/full" SHOWS_ONCE "tartan: rank 1: ${lost}")
tartan_ending_test(closed_output 3 failure sh -c "exec ${ending} print 1 >&-" SHOWS_ONCE "tartan: rank 1: ${lost}")
tartan_ending_test(silent_output 3 success sh -c "exec ${ending} print 9 >&-")
tartan_ending_test(agreed 3 failure ${ending} agreed 2 SHOWS_ONCE "tartan: rank 2: error: fault of rank 2" "fault of")
foreach(culprit 0 2)
  tartan_ending_test(throw_before_barrier.${culprit} 3 failure ${ending} throw-before-barrier ${culprit}
    SHOWS_ONCE "tartan: rank ${culprit}: error: fault of rank ${culprit}"
    SHOWS "tartan: rank ${culprit}: the other ranks did not come within 3 s, ending the job")
  tartan_ending_test(throw_before_receive.${culprit} 3 failure ${ending} throw-before-receive ${culprit}
    SHOWS_ONCE "tartan: rank ${culprit}: error: fault of rank ${culprit}" ENVIRONMENT TARTAN_DEADLINE=1)
endforeach()
tartan_ending_test(leave_early 3 failure ${ending} leave-early 1 ENVIRONMENT TARTAN_DEADLINE=0.05 TARTAN_END_DEADLINE=3
  SHOWS_ONCE "tartan: rank 1 is at its end and waits for the others, up to 3 s"
    "tartan: rank 1: error: this rank is at its end, but the job is not")
tartan_ending_test(terminate 3 failure ${ending} terminate 1 SHOWS_ONCE "tartan: rank 1: error: fault of rank 1")
tartan_ending_test(mismatch 3 failure ${ending} mismatch 1 ENVIRONMENT TARTAN_CHECKS=collective
  SHOWS_ONCE "mismatched calls on \"world\": rank 0 calls all_reduce(float, 4, sum), rank 1 calls broadcast(float, 4, root 0)")
tartan_ending_test(bad_checks 2 failure ${ending} well 0 ENVIRONMENT TARTAN_CHECKS=some
  SHOWS_ONCE "error: TARTAN_CHECKS is \"some\", expected off, local or collective")
tartan_ending_test(bad_deadline 2 failure ${ending} well 0 ENVIRONMENT TARTAN_DEADLINE=soon
  SHOWS_ONCE "error: TARTAN_DEADLINE is \"soon\", expected a positive number of seconds")
tartan_ending_test(bad_end_deadline 2 failure ${ending} well 0 ENVIRONMENT TARTAN_END_DEADLINE=-1
  SHOWS_ONCE "error: TARTAN_END_DEADLINE is \"-1\", expected a positive number of seconds")

set(failing $<TARGET_FILE:failing>)
tartan_ending_test(failing.require 3 failure ${failing} "require before a barrier"
  SHOWS "REQUIRE( answer == 42 )" "41 == 42" "report of rank 2")
tartan_ending_test(failing.check 3 failure ${failing} "check on one rank"
  SHOWS "CHECK( answer == 42 )" "41 == 42" "report of rank 2")
tartan_ending_test(failing.throw 3 failure ${failing} "throw before a barrier"
  SHOWS "an unexpected exception" "report of rank 2")
tartan_ending_test(failing.section 3 failure ${failing} "require in the first of two sections"
  SHOWS "REQUIRE( answer == 42 )" "41 == 42" "report of rank 2" "the ranks parted after a failure")
tartan_ending_test(failing.everywhere 2 failure ${failing} "check on every rank,passes"
  SHOWS "CHECK( answer == 42 )" "test cases: 2 | 1 passed | 1 failed")
tartan_ending_test(failing.passes 3 success ${failing} passes SHOWS "All tests passed")
