# One folder = one library target (or one interface target and an adapter per third-party library).

find_program(STAC_CCACHE ccache)
if(STAC_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${STAC_CCACHE})
endif()

add_library(stac_flags INTERFACE)
target_include_directories(stac_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(stac_flags INTERFACE -Wall -Wextra -Wshadow -Wno-missing-field-initializers)
if(STAC_SANITIZE)
  target_compile_options(stac_flags INTERFACE -fsanitize=${STAC_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(stac_flags INTERFACE -fsanitize=${STAC_SANITIZE})
endif()

# stac_library(NAME SOURCES a.cc ... DEPS stac_base ... PRIVATE_DEPS PkgConfig::x264 ...
#              TESTS a_test.cc ... TEST_DEPS stac_synthetic ...)
# DEPS are visible to users of the library; PRIVATE_DEPS (third-party libraries) are not.
# TESTS become one binary NAME_test, run by ctest under the same name.
function(stac_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS;TESTS;TEST_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC stac_flags ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  if(BUILD_TESTING AND ARG_TESTS)
    stac_test(${name}_test SOURCES ${ARG_TESTS} DEPS ${name} ${ARG_TEST_DEPS} ${ARG_PRIVATE_DEPS})
  endif()
endfunction()

# stac_test(NAME SOURCES a_test.cc ... DEPS ...): a test binary of its own, for what spans folders.
function(stac_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock_main)
  string(REGEX REPLACE "_test$" "" prefix ${name})
  gtest_discover_tests(${name} TEST_PREFIX ${prefix}. DISCOVERY_TIMEOUT 60
                       PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: no STAC_DATA")
endfunction()

# stac_number_loops(a.cc ...): sources of this folder whose loops over numbers are to be computed
# several at a time (base/wide_vectors.h). Compilers may choose between two results instead of
# branching, which they must not if computing one of them might stop the program; and results do not
# depend on the processor.
function(stac_number_loops)
  set_source_files_properties(${ARGN} PROPERTIES
                              COMPILE_OPTIONS "-fno-trapping-math;-ffp-contract=off")
endfunction()
