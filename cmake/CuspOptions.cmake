# Build options and the one way to declare a Cusp library or program.
option(CUSP_TESTS "Build the tests" ON)
option(CUSP_TIDY "Run clang-tidy beside the compiler" OFF)
set(CUSP_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

find_program(CUSP_CCACHE ccache)
if(CUSP_CCACHE)
  # Two clones on one machine share what was compiled: the cache sees paths relative to the build.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
                                  CCACHE_NOHASHDIR=1 ${CUSP_CCACHE})
endif()
if(CUSP_TIDY)
  find_program(CUSP_CLANG_TIDY clang-tidy REQUIRED)
endif()
if(CUSP_SANITIZE)
  add_compile_options(-fsanitize=${CUSP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CUSP_SANITIZE})
endif()

function(cusp_target_defaults target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                           -Woverloaded-virtual -Werror=return-type)
  if(CUSP_TIDY)
    set_target_properties(${target} PROPERTIES CXX_CLANG_TIDY ${CUSP_CLANG_TIDY})
  endif()
endfunction()

# cusp_library(name SOURCES a.cc ... DEPENDS public-libs ... PRIVATE private-libs ...)
# Every public header is included as "folder/file.h" from the root of the tree.
function(cusp_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${arg_DEPENDS} PRIVATE ${arg_PRIVATE})
  cusp_target_defaults(${name})
endfunction()

# cusp_program(name SOURCES ... DEPENDS ...)
function(cusp_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPENDS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  cusp_target_defaults(${name})
endfunction()

# cusp_test(name SOURCES ... DEPENDS ...): a GoogleTest program, each of its tests a ctest.
function(cusp_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPENDS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  cusp_target_defaults(${name})
  # Half of a build from nothing is tests: what they call is optimised, they need not be.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  gtest_discover_tests(${name} NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${arg_TIMEOUT})
endfunction()
