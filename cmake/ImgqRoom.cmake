# A room is an OBJECT library whose links are exactly the rooms it may use (lib/rooms.txt) and its walled libraries.

add_library(imgq_flags INTERFACE)
target_compile_features(imgq_flags INTERFACE c_std_11)
target_compile_definitions(imgq_flags INTERFACE _GNU_SOURCE)
target_compile_options(imgq_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wformat=2
  $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation> # a message cut to fit its record is what snprintf is used for
  -fvisibility=hidden -fno-math-errno
  $<$<BOOL:${IMGQ_WERROR}>:-Werror>
  $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2> $<$<CONFIG:Release>:-fstack-protector-strong>)
target_link_options(imgq_flags INTERFACE -Wl,-z,defs -Wl,-z,now -Wl,-z,relro)
if(IMGQ_SANITIZE)
  target_compile_options(imgq_flags INTERFACE -fsanitize=${IMGQ_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(imgq_flags INTERFACE -fsanitize=${IMGQ_SANITIZE})
endif()

# imgq_room(NAME SOURCES … [ROOMS …] [LIBRARIES …])
function(imgq_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  add_library(room_${name} OBJECT ${ROOM_SOURCES})
  set_target_properties(room_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON C_EXTENSIONS ON
    IMGQ_ROOMS "${ROOM_ROOMS}")
  target_include_directories(room_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/lib)
  target_link_libraries(room_${name} PUBLIC imgq_flags Threads::Threads ${ROOM_LIBRARIES} m)
endfunction()

# imgq_room_closure(OUT ROOM…): the rooms and all that they stand on
function(imgq_room_closure out)
  set(todo ${ARGN})
  set(seen "")
  while(todo)
    list(POP_FRONT todo room)
    if(NOT room IN_LIST seen)
      list(APPEND seen ${room})
      get_target_property(more room_${room} IMGQ_ROOMS)
      if(more)
        list(APPEND todo ${more})
      endif()
    endif()
  endwhile()
  set(${out} ${seen} PARENT_SCOPE)
endfunction()

# imgq_link_rooms(TARGET ROOM…): link the objects of these rooms and of all that they stand on
function(imgq_link_rooms target)
  imgq_room_closure(rooms ${ARGN})
  foreach(room IN LISTS rooms)
    target_link_libraries(${target} PRIVATE room_${room})
  endforeach()
endfunction()

# imgq_test(NAME ROOMS … [SOURCES …] [SUPPORT …] [LABELS …] [TIMEOUT s]): a CUnit program tests/…/NAME.c, run by ctest.
# It links only the rooms it names and what they stand on. Exit code 77 is "skipped". Labels: oracle (a sweep over many
# images: not under sanitizers), release (about the release build alone), tsan (also under the thread sanitizer; set here
# for the rooms that have threads).
function(imgq_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "ROOMS;SOURCES;SUPPORT;LABELS;LIBRARIES;ENVIRONMENT" ${ARGN})
  if(NOT T_SOURCES)
    set(T_SOURCES ${name}.c)
  endif()
  add_executable(${name} ${T_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  imgq_link_rooms(${name} ${T_ROOMS})
  target_link_libraries(${name} PRIVATE test_support ${T_SUPPORT} ${T_LIBRARIES})
  add_test(NAME ${name} COMMAND ${name})
  foreach(room base net redis queue worker)
    if(room IN_LIST T_ROOMS)
      list(APPEND T_LABELS tsan)
    endif()
  endforeach()
  list(REMOVE_DUPLICATES T_LABELS)
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}"
    ENVIRONMENT "IMGQ_SOURCE=${PROJECT_SOURCE_DIR};IMGQ_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};${T_ENVIRONMENT}")
endfunction()

# imgq_fuzz(NAME ROOMS …): tests/fuzz/NAME.c; with IMGQ_FUZZ a libFuzzer program, else one that replays corpus/NAME
function(imgq_fuzz name)
  cmake_parse_arguments(F "" "" "ROOMS" ${ARGN})
  add_executable(${name} ${name}.c)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  imgq_link_rooms(${name} ${F_ROOMS})
  if(IMGQ_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_link_libraries(${name} PRIVATE fuzz_replay)
  endif()
  add_test(NAME ${name} COMMAND ${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 300)
endfunction()
