# Trains on several grids: the test AUC is the same to 1e-3, the ceiling to the last digit.
#   PROGRAM, LAUNCH, GRIDS, ARGUMENTS
# With BASELINE (more arguments) the first grid is run with them too; then the AUC is within 0.01 of the ceiling and at
# least 0.05 above the baseline's.

include(${CMAKE_CURRENT_LIST_DIR}/on_grids.cmake)

# Sets auc and ceiling, in units of 1e-4.
macro(run grid)
  run_on_grid(${grid} ${ARGUMENTS} ${ARGN})
  if(NOT output MATCHES "\ntest AUC ([01])\\.([0-9][0-9][0-9][0-9]) \\(ceiling ([01])\\.([0-9][0-9][0-9][0-9])\\), [0-9]+ samples/s\n$")
    message(FATAL_ERROR "the last line is missing")
  endif()
  math(EXPR auc "10000 * ${CMAKE_MATCH_1} + ${CMAKE_MATCH_2}")
  math(EXPR ceiling "10000 * ${CMAKE_MATCH_3} + ${CMAKE_MATCH_4}")
endmacro()

set(first_auc "")
foreach(grid IN LISTS GRIDS)
  run(${grid})
  if(first_auc STREQUAL "")
    set(first_auc ${auc})
    set(first_ceiling ${ceiling})
  endif()
  math(EXPR difference "${auc} - ${first_auc}")
  if(difference GREATER 10 OR difference LESS -10 OR NOT ceiling EQUAL first_ceiling)
    message(FATAL_ERROR "${grid} differs from the first")
  endif()
endforeach()

if(BASELINE)
  list(GET GRIDS 0 grid)
  run(${grid} ${BASELINE})
  math(EXPR below "${first_ceiling} - ${first_auc}")
  math(EXPR above "${first_auc} - ${auc}")
  if(below GREATER 100 OR above LESS 500)
    message(FATAL_ERROR "${below}e-4 below the ceiling, ${above}e-4 above the baseline")
  endif()
endif()
