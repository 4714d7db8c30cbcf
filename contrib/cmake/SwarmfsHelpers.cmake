# One verb each: sw_target (flags of every target), sw_module (a layer), sw_unit_test, sw_long_test, sw_fuzzer.

set(SW_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
    -Wformat=2 -Wcast-qual -Wpointer-arith -Wundef -Wimplicit-fallthrough -Wwrite-strings)

function(sw_target name)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE SWARMFS_VERSION="${PROJECT_VERSION}")
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${SW_WARNINGS} -fno-strict-aliasing)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT SWARMFS_SANITIZE)
    # Under sanitizers gcc 12 reports null dereferences that its own checks introduce.
    target_compile_options(${name} PRIVATE -Wnull-dereference)
  endif()
  if(SWARMFS_WERROR)
    target_compile_options(${name} PRIVATE -Werror)
  endif()
  if(SWARMFS_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${SWARMFS_SANITIZE} -fno-omit-frame-pointer
                           -fno-sanitize-recover=all)
    target_link_options(${name} PRIVATE -fsanitize=${SWARMFS_SANITIZE})
  endif()
  if(SWARMFS_COVERAGE)
    target_compile_options(${name} PRIVATE --coverage)
    target_link_options(${name} PRIVATE --coverage)
  endif()
  if(SWARMFS_FUZZ)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# sw_module(NAME LIBS...): static library sw_NAME of every NAME/*.c but main.c.
function(sw_module name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${name}/*.c)
  list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/${name}/main.c)
  add_library(sw_${name} STATIC ${sources})
  sw_target(sw_${name})
  target_link_libraries(sw_${name} PUBLIC ${ARGN})
endfunction()

# sw_unit_test(FILE LIBS...): tests/unit/test_x.c becomes the ctest entry unit_x.
function(sw_unit_test file)
  get_filename_component(base ${file} NAME_WE)
  string(REPLACE "test_" "unit_" entry ${base})
  add_executable(${base} ${file})
  sw_target(${base})
  target_link_libraries(${base} PRIVATE ${ARGN} cmocka)
  target_compile_definitions(${base} PRIVATE SW_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
  add_test(NAME ${entry} COMMAND ${base})
  set_tests_properties(${entry} PROPERTIES LABELS unit TIMEOUT 300 SKIP_RETURN_CODE 77)
endfunction()

# sw_long_test(NAME COMMAND... ENVIRONMENT NAME=VALUE...): another test's long variant, the ctest entry long_NAME; what makes it long
# is its environment. Not among the fuzzers: those builds are for libFuzzer, and slow.
function(sw_long_test name)
  if(SWARMFS_FUZZ)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 long "" "" ENVIRONMENT)
  add_test(NAME long_${name} COMMAND ${long_UNPARSED_ARGUMENTS})
  set_tests_properties(long_${name} PROPERTIES LABELS long TIMEOUT 14400 SKIP_RETURN_CODE 77 ENVIRONMENT "${long_ENVIRONMENT}")
endfunction()

# sw_fuzzer(FILE MUTATIONS LIBS...): tests/fuzz/fuzz_x.c becomes the ctest entry fuzz_x, a replay of
# tests/fuzz/corpus/x and that many mutations of it; with libFuzzer long_fuzz_x, for SWARMFS_FUZZ_SECONDS.
function(sw_fuzzer file mutations)
  get_filename_component(base ${file} NAME_WE)
  string(REPLACE "fuzz_" "" name ${base})
  set(corpus ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
  add_executable(${base} ${file})
  sw_target(${base})
  target_link_libraries(${base} PRIVATE ${ARGN})
  if(EXISTS /dev/shm)
    set(environment TMPDIR=/dev/shm) # some make databases, which wait for the disk otherwise
  endif()
  if(NOT SWARMFS_FUZZ)
    target_sources(${base} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/driver.c)
    add_test(NAME ${base} COMMAND ${base} ${corpus} ${mutations})
    set_tests_properties(${base} PROPERTIES LABELS fuzz TIMEOUT 300 ENVIRONMENT "${environment}")
    return()
  endif()
  target_link_options(${base} PRIVATE -fsanitize=fuzzer)
  # What it finds by the way stays in the build directory, and is where the next run begins.
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/corpus/${name})
  math(EXPR timeout "${SWARMFS_FUZZ_SECONDS} + 600")
  add_test(NAME long_${base} COMMAND ${base} -max_total_time=${SWARMFS_FUZZ_SECONDS} -max_len=16384 -timeout=60
           -print_final_stats=1 ${CMAKE_BINARY_DIR}/corpus/${name} ${corpus})
  set_tests_properties(long_${base} PROPERTIES LABELS long TIMEOUT ${timeout} ENVIRONMENT "${environment}")
endfunction()
