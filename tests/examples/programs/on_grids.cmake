# For scripts that run one program on several grids. PROGRAM; LAUNCH: the command line up to the number of ranks.

# run_on_grid(<grid> <argument>...): the program with --grid and the arguments, on as many ranks as the grid has; what it
# printed is in `output`.
macro(run_on_grid grid)
  string(REPLACE "x" "*" ranks ${grid})
  math(EXPR ranks "${ranks}")
  execute_process(COMMAND ${LAUNCH} ${ranks} ${PROGRAM} --grid ${grid} ${ARGN}
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  message("${grid} ${ARGN}\n${output}")
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "exit status ${status}")
  endif()
endmacro()

# expect_same_losses(<count>): `output` shows so many losses with four digits, the same to 1e-3 as in the first call; they
# are in `losses`, in units of 1e-4.
macro(expect_same_losses expected)
  string(REGEX MATCHALL "loss +[0-9]+\\.[0-9][0-9][0-9][0-9]" losses "${output}")
  list(TRANSFORM losses REPLACE "loss +([0-9]+)\\.([0-9]+)" "\\1\\2")
  list(LENGTH losses count)
  if(NOT count EQUAL ${expected})
    message(FATAL_ERROR "${count} losses are shown instead of ${expected}")
  endif()
  if(NOT DEFINED first_losses)
    set(first_losses ${losses})
  endif()
  foreach(mine first IN ZIP_LISTS losses first_losses)
    math(EXPR difference "1${mine} - 1${first}")
    if(difference GREATER 10 OR difference LESS -10)
      message(FATAL_ERROR "a loss differs from the first grid's by ${difference}e-4")
    endif()
  endforeach()
endmacro()
