# One verb each: sw_target (flags of every target), sw_module (a layer), sw_unit_test, sw_fuzzer.

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

# sw_fuzzer(FILE LIBS...): a libFuzzer target that also replays its corpus in tests/data/fuzz.
function(sw_fuzzer file)
  get_filename_component(base ${file} NAME_WE)
  add_executable(${base} ${file})
  sw_target(${base})
  target_link_libraries(${base} PRIVATE ${ARGN})
  target_link_options(${base} PRIVATE -fsanitize=fuzzer)
endfunction()
