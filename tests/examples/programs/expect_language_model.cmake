# Trains on several grids: the loss falls by half a nat, and every one that is shown, and that of validation, is the same to
# 1e-3.
#   PROGRAM, LAUNCH, FOLDER (for the text), GRIDS, ARGUMENTS
# With BEATS_BIGRAMS the perplexity on the validation text is below the one of bigrams on each grid.

include(${CMAKE_CURRENT_LIST_DIR}/on_grids.cmake)

# Lines of one word of five again and again, with another between: what follows it is known two words before only.
set(words moses aaron joshua caleb miriam)
set(state 12345)
set(text "")
foreach(line RANGE 1 800)
  math(EXPR state "(${state} * 1103515245 + 12345) % 2147483648")
  math(EXPR kind "(${state} / 65536) % 5")
  list(GET words ${kind} word)
  string(APPEND text "${word} and ${word} and ${word} and ${word} and ${word}\n")
endforeach()
file(WRITE ${FOLDER}/text.txt "${text}")

foreach(grid IN LISTS GRIDS)
  run_on_grid(${grid} --corpus ${FOLDER}/text.txt ${ARGUMENTS})
  if(NOT output MATCHES "\nvalidation loss [0-9]+\\.[0-9]+, [0-9]+ tokens/s\n$")
    message(FATAL_ERROR "the last line is missing")
  endif()
  if(NOT output MATCHES "\nperplexity on the validation text: ([0-9]+)\\.([0-9][0-9]); of bigrams with counts added: ([0-9]+)\\.([0-9][0-9])\n")
    message(FATAL_ERROR "the perplexities are missing")
  endif()
  math(EXPR perplexity "100 * ${CMAKE_MATCH_1} + 1${CMAKE_MATCH_2} - 100")
  math(EXPR bigrams "100 * ${CMAKE_MATCH_3} + 1${CMAKE_MATCH_4} - 100")
  if(BEATS_BIGRAMS AND NOT perplexity LESS bigrams)
    message(FATAL_ERROR "bigrams are as good")
  endif()
  expect_same_losses(11)  # ten and that of validation
  list(GET losses 0 begun)
  list(GET losses 9 ended)
  math(EXPR fall "1${begun} - 1${ended}")
  if(NOT fall GREATER 5000)
    message(FATAL_ERROR "the loss fell by ${fall}e-4 only")
  endif()
endforeach()
