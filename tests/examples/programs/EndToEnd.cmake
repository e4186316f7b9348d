# The examples as programs under mpiexec: what they write and print, and how they end on bad input.

set(word_vectors_scratch ${CMAKE_CURRENT_BINARY_DIR}/word_vectors)
set(small_corpus ${word_vectors_scratch}/corpus.txt)
add_executable(compare_vectors examples/programs/compare_vectors.cpp)

add_test(NAME word_vectors.corpus
  COMMAND ${CMAKE_COMMAND} -DOUTPUT=${small_corpus} -P ${CMAKE_CURRENT_SOURCE_DIR}/examples/programs/small_corpus.cmake)
set_tests_properties(word_vectors.corpus PROPERTIES FIXTURES_SETUP word_vectors_corpus LABELS serial)

# word_vectors_files(<name> <ranks> <run>... [COMPARE <command>...])
function(word_vectors_files name ranks)
  math(EXPR half_cores "2 * ${ranks}")
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "COMPARE")
  set(launch ${TIMEOUT_EXECUTABLE} -k 5 60 ${tartan_mpiexec} ${MPIEXEC_NUMPROC_FLAG})
  add_test(NAME word_vectors.${name} COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:word_vectors> "-DLAUNCH=${launch}"
    -DCORPUS=${small_corpus} -DFOLDER=${word_vectors_scratch}/${name} "-DRUNS=${arg_UNPARSED_ARGUMENTS}"
    "-DCOMPARE=${arg_COMPARE}" -P ${CMAKE_CURRENT_SOURCE_DIR}/examples/programs/expect_vectors.cmake)
  set_tests_properties(word_vectors.${name} PROPERTIES FIXTURES_REQUIRED word_vectors_corpus
    PROCESSORS ${half_cores} TIMEOUT 200 LABELS mpi
    ENVIRONMENT "${tartan_test_environment};OMPI_MCA_orte_tmpdir_base=${PROJECT_BINARY_DIR}/mpi/${name}")
endfunction()

word_vectors_files(same_bits 4 1x1x1:root:table 1x2x1:root:table 1x2x1:root:automatic 1x4x1:root:rows)
word_vectors_files(storage 4 2x2x1:root:table 2x2x1:replicate:table 2x2x1:shard:table)
word_vectors_files(close 8 1x1x1:root:table 2x1x1:root:table 1x1x2:root:table 2x1x4:root:table 2x1x4:shard:automatic
  COMPARE $<TARGET_FILE:compare_vectors> FIRST OTHER 1e-3 1e-6)
set(same --dimension=80:--epochs=2:--reproducible)
word_vectors_files(reproducible 8 1x1x1:root:automatic:${same} 2x1x2:root:table:${same} 4x1x1:replicate:automatic:${same}
  1x4x1:shard:rows:${same} 2x2x2:shard:automatic:${same} 2x2x2:replicate:rows:${same} 1x1x4:root:automatic:${same})

if(NOT TARTAN_CUDA STREQUAL "OFF")
  set(brief --dimension=16:--epochs=1)
  word_vectors_files(devices 2 1x1x1:root:automatic:${brief} 1x1x1:root:table:${brief}:--device=cuda
    1x2x1:root:rows:${brief}:--device=cuda)
  set_property(TEST word_vectors.devices APPEND PROPERTY LABELS gpu)
endif()

# The same program in a build whose default corpus was never written.
add_executable(word_vectors_astray
  ${PROJECT_SOURCE_DIR}/examples/word_vectors/main.cpp
  ${PROJECT_SOURCE_DIR}/examples/word_vectors/training.cpp
  ${PROJECT_SOURCE_DIR}/examples/support/text_files.cpp)
target_compile_definitions(word_vectors_astray PRIVATE TARTAN_DEFAULT_CORPUS="${word_vectors_scratch}/never/kjv.txt")
target_link_libraries(word_vectors_astray PRIVATE word_vectors_parts)

file(WRITE ${word_vectors_scratch}/empty.txt "")
file(WRITE ${word_vectors_scratch}/numbers.txt "1 2 3\n")
string(ASCII 255 invalid)
file(WRITE ${word_vectors_scratch}/invalid.txt "in the beginning ${invalid}\n")

set(word_vectors $<TARGET_FILE:word_vectors>)
set(with_corpus --corpus ${small_corpus} --output none)

# bad_input(<name> <text> <command>...): on ${ranks} ranks, ends everywhere with that text, once.
function(bad_input name text)
  tartan_ending_test(word_vectors.${name}.np${ranks} ${ranks} failure ${ARGN} SHOWS_ONCE "error: ${text}")
  set_tests_properties(ending.word_vectors.${name}.np${ranks} PROPERTIES FIXTURES_REQUIRED word_vectors_corpus)
endfunction()
foreach(ranks 1 4)
  bad_input(grid "--grid 3x1x2 has 6 ranks, but this job has ${ranks}" ${word_vectors} ${with_corpus} --grid 3x1x2)
  bad_input(grid_text "--grid \"2by2\": expected three extents" ${word_vectors} ${with_corpus} --grid 2by2)
  bad_input(missing_corpus "corpus ${word_vectors_scratch}/none.txt does not exist"
    ${word_vectors} --corpus ${word_vectors_scratch}/none.txt)
  bad_input(missing_default
    "the default corpus ${word_vectors_scratch}/never/kjv.txt is missing: run scripts/quickstart"
    $<TARGET_FILE:word_vectors_astray>)
  bad_input(empty_corpus "corpus ${word_vectors_scratch}/empty.txt holds no word"
    ${word_vectors} --corpus ${word_vectors_scratch}/empty.txt)
  bad_input(wordless_corpus "corpus ${word_vectors_scratch}/numbers.txt holds no word"
    ${word_vectors} --corpus ${word_vectors_scratch}/numbers.txt)
  bad_input(invalid_utf8 "${word_vectors_scratch}/invalid.txt: invalid UTF-8 at byte offset 17"
    ${word_vectors} --corpus ${word_vectors_scratch}/invalid.txt)
  bad_input(rare_words "corpus ${small_corpus}: none of its " ${word_vectors} ${with_corpus} --minimum-count 100000)
  bad_input(unknown_option "Option" ${word_vectors} ${with_corpus} --dimensions 3)
  bad_input(bad_number "--epochs \"many\"" ${word_vectors} ${with_corpus} --epochs many)
  bad_input(unwritable "output ${word_vectors_scratch}/no/folder.txt: cannot create it"
    ${word_vectors} --corpus ${small_corpus} --output ${word_vectors_scratch}/no/folder.txt)
  bad_input(output_is_folder "output ${word_vectors_scratch}: not a regular file"
    ${word_vectors} --corpus ${small_corpus} --output ${word_vectors_scratch})
endforeach()
tartan_ending_test(word_vectors.help 4 success ${word_vectors} --help SHOWS_ONCE "Launch with: mpiexec")

tartan_mpi_command(first_program 8 60 $<TARGET_FILE:first_program>)
add_test(NAME first_program.np8 COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${first_program}"
  -P ${CMAKE_CURRENT_SOURCE_DIR}/examples/programs/expect_falling_norm.cmake)
set_tests_properties(first_program.np8 PROPERTIES PROCESSORS 16 TIMEOUT 70 LABELS mpi ENVIRONMENT "${tartan_test_environment}")

set(launch ${TIMEOUT_EXECUTABLE} -k 5 60 ${tartan_mpiexec} ${MPIEXEC_NUMPROC_FLAG})
add_test(NAME classifier.grids COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:classifier> "-DLAUNCH=${launch}"
  "-DGRIDS=1x1;1x3;2x1;2x2;3x1" -P ${CMAKE_CURRENT_SOURCE_DIR}/examples/programs/expect_classifier.cmake)
set_tests_properties(classifier.grids PROPERTIES PROCESSORS 8 TIMEOUT 300 LABELS mpi
  ENVIRONMENT "${tartan_test_environment};OMPI_MCA_orte_tmpdir_base=${PROJECT_BINARY_DIR}/mpi/classifier")
tartan_ending_test(classifier.grid 4 failure $<TARGET_FILE:classifier> --grid 3x2
  SHOWS_ONCE "error: --grid 3x2 has 6 ranks, but this job has 4")
tartan_ending_test(classifier.help 4 success $<TARGET_FILE:classifier> --help SHOWS_ONCE "Launch with: mpiexec")

# click_prediction_aucs(<name> <ranks> <grid>... [ARGUMENTS <argument>...] [BASELINE <argument>...])
function(click_prediction_aucs name ranks)
  math(EXPR half_cores "2 * ${ranks}")
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "ARGUMENTS;BASELINE")
  set(launch ${TIMEOUT_EXECUTABLE} -k 5 120 ${tartan_mpiexec} ${MPIEXEC_NUMPROC_FLAG})
  add_test(NAME click_prediction.${name} COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:click_prediction>
    "-DLAUNCH=${launch}" "-DGRIDS=${arg_UNPARSED_ARGUMENTS}" "-DARGUMENTS=${arg_ARGUMENTS}" "-DBASELINE=${arg_BASELINE}"
    -P ${CMAKE_CURRENT_SOURCE_DIR}/examples/programs/expect_clicks.cmake)
  set_tests_properties(click_prediction.${name} PROPERTIES PROCESSORS ${half_cores} TIMEOUT 300 LABELS mpi
    ENVIRONMENT "${tartan_test_environment};OMPI_MCA_orte_tmpdir_base=${PROJECT_BINARY_DIR}/mpi/clicks_${name}")
endfunction()

set(briefly --steps 60 --batch 300 --test-samples 3000 --dimension 5)
if(NOT CMAKE_BUILD_TYPE STREQUAL Debug)  # which takes minutes
  click_prediction_aucs(defaults 1 1x1x1 BASELINE --no-embeddings)
endif()
click_prediction_aucs(grids 4 1x1x1 2x1x1 1x2x1 1x1x2 2x2x1 2x1x2 1x2x2 1x1x4 3x1x1 ARGUMENTS ${briefly})
click_prediction_aucs(many_ranks 8 1x1x1 2x2x2 1x6x1 ARGUMENTS ${briefly})
click_prediction_aucs(no_embeddings 4 1x1x1 2x1x2 ARGUMENTS ${briefly} --no-embeddings)
if(NOT TARTAN_CUDA STREQUAL "OFF")
  click_prediction_aucs(devices 2 1x1x1 2x1x1 1x1x2 ARGUMENTS ${briefly} --device cuda)
  set_property(TEST click_prediction.devices APPEND PROPERTY LABELS gpu)
endif()
foreach(ranks 1 4)
  tartan_ending_test(click_prediction.grid.np${ranks} ${ranks} failure $<TARGET_FILE:click_prediction> --grid 3x1x2
    SHOWS_ONCE "error: --grid 3x1x2 has 6 ranks, but this job has ${ranks}")
  tartan_ending_test(click_prediction.bad_number.np${ranks} ${ranks} failure $<TARGET_FILE:click_prediction> --steps none
    SHOWS_ONCE "error: --steps \"none\": expected a whole number")
  tartan_ending_test(click_prediction.diverging.np${ranks} ${ranks} failure $<TARGET_FILE:click_prediction> ${briefly}
    --learning-rate 1e30 SHOWS_ONCE "error: the loss is not finite in step")
endforeach()
tartan_ending_test(click_prediction.help 4 success $<TARGET_FILE:click_prediction> --help SHOWS_ONCE "Launch with: mpiexec")

# language_model_losses(<name> <ranks> <grid>... [BEATS_BIGRAMS] ARGUMENTS <argument>...)
function(language_model_losses name ranks)
  math(EXPR half_cores "2 * ${ranks}")
  cmake_parse_arguments(PARSE_ARGV 2 arg "BEATS_BIGRAMS" "" "ARGUMENTS")
  set(launch ${TIMEOUT_EXECUTABLE} -k 5 120 ${tartan_mpiexec} ${MPIEXEC_NUMPROC_FLAG})
  add_test(NAME language_model.${name} COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:language_model>
    "-DLAUNCH=${launch}" -DFOLDER=${CMAKE_CURRENT_BINARY_DIR}/language_model/${name} "-DGRIDS=${arg_UNPARSED_ARGUMENTS}"
    "-DARGUMENTS=${arg_ARGUMENTS}" -DBEATS_BIGRAMS=${arg_BEATS_BIGRAMS}
    -P ${CMAKE_CURRENT_SOURCE_DIR}/examples/programs/expect_language_model.cmake)
  set_tests_properties(language_model.${name} PROPERTIES PROCESSORS ${half_cores} TIMEOUT 400 LABELS mpi
    ENVIRONMENT "${tartan_test_environment};OMPI_MCA_orte_tmpdir_base=${PROJECT_BINARY_DIR}/mpi/language_${name}")
endfunction()

set(tiny --layers 1 --width 24 --heads 4 --context 12 --batch 6 --vocabulary 270 --sample 8)
language_model_losses(grids 6 1x1 1x4 2x2 4x1 3x2 ARGUMENTS ${tiny} --steps 20 --dropout 0.1)
language_model_losses(learns 4 1x1 2x2 BEATS_BIGRAMS ARGUMENTS ${tiny} --steps 400 --batch 16
  --learning-rate 1e-2)
foreach(ranks 1 4)
  tartan_ending_test(language_model.grid.np${ranks} ${ranks} failure $<TARGET_FILE:language_model> --grid 3x2
    SHOWS_ONCE "error: --grid 3x2 has 6 ranks, but this job has ${ranks}")
  tartan_ending_test(language_model.missing.np${ranks} ${ranks} failure $<TARGET_FILE:language_model>
    --corpus ${word_vectors_scratch}/none.txt SHOWS_ONCE "error: corpus ${word_vectors_scratch}/none.txt does not exist")
  tartan_ending_test(language_model.empty.np${ranks} ${ranks} failure $<TARGET_FILE:language_model>
    --corpus ${word_vectors_scratch}/empty.txt SHOWS_ONCE "the tenth for validation is no longer than a context")
endforeach()
tartan_ending_test(language_model.help 4 success $<TARGET_FILE:language_model> --help SHOWS_ONCE "Launch with: mpiexec")
