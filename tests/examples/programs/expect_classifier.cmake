# Trains on several grids: the accuracy on other rows is above 0.9, where chance is 0.2, and the same on each to two of
# 1001 rows; every loss that is shown is the same to 1e-3.
#   PROGRAM, LAUNCH, GRIDS

include(${CMAKE_CURRENT_LIST_DIR}/on_grids.cmake)

foreach(grid IN LISTS GRIDS)
  run_on_grid(${grid})
  if(NOT output MATCHES "\naccuracy ([01])\\.([0-9][0-9][0-9][0-9]), loss [0-9]+\\.[0-9][0-9][0-9][0-9]\n$")
    message(FATAL_ERROR "the last line is missing")
  endif()
  math(EXPR accuracy "10000 * ${CMAKE_MATCH_1} + 1${CMAKE_MATCH_2} - 10000")
  if(accuracy LESS 9000 OR accuracy GREATER 10000)
    message(FATAL_ERROR "an accuracy of ${accuracy}e-4")
  endif()
  expect_same_losses(11)  # ten and that of the test
  if(NOT DEFINED first_accuracy)
    set(first_accuracy ${accuracy})
  endif()
  math(EXPR difference "${accuracy} - ${first_accuracy}")
  if(difference GREATER 20 OR difference LESS -20)
    message(FATAL_ERROR "the accuracy differs from the first grid's by ${difference}e-4")
  endif()
endforeach()
