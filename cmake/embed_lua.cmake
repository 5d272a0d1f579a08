# The queue's scripts as C tables, made at build time: each is its own first line (#!lua flags=…), then what it needs of
# common/*.lua, then the rest of it; comments and indentation are dropped. The digest is of exactly those bytes.
#
#   include(embed_lua)
#   imgq_embed_lua(OUT DIRECTORY dir COMMON values record … SCRIPTS submit take … ALONE reference …)
#
# sets OUT to lua_scripts.c, to be compiled into the room; "queue/lua_scripts.h" is beside it under
# ${PROJECT_BINARY_DIR}/generated, which the room needs as an include directory. The texts themselves stand in
# ${PROJECT_BINARY_DIR}/generated/queue/lua/NAME.lua, where the tests take them from. Target: imgq_lua.

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  cmake_minimum_required(VERSION 3.25)
  # cmake -DDIRECTORY= -DOUT= -DCOMMON=c,d -DSCRIPTS=a,b -DALONE=c -P embed_lua.cmake
  function(strip_comments text out)
    string(REGEX REPLACE "\n[ \t]*--[^\n]*" "" text "\n${text}")
    string(REGEX REPLACE "[ \t]+--[^\n']*\n" "\n" text "${text}")
    set(${out} "${text}" PARENT_SCOPE)
  endfunction()

  function(strip_blanks text out)
    string(REGEX REPLACE "\n[ \t]+" "\n" text "\n${text}")
    string(REGEX REPLACE "\n\n+" "\n" text "${text}")
    string(REGEX REPLACE "^\n" "" text "${text}")
    set(${out} "${text}" PARENT_SCOPE)
  endfunction()

  # common/*.lua in pieces: its functions (FUNCTION_name), which end at the first "end" in column 0, and what lies between
  # them (between_N). common_order has both in their order.
  function(split_common text)
    set(order "")
    set(number 0)
    while(TRUE)
      string(FIND "${text}" "\nlocal function " begin)
      math(EXPR number "${number} + 1")
      list(APPEND order between_${number})
      if(begin EQUAL -1)
        set(between_${number} "${text}" PARENT_SCOPE)
        break()
      endif()
      string(SUBSTRING "${text}" 0 ${begin} piece)
      set(between_${number} "${piece}" PARENT_SCOPE)
      string(SUBSTRING "${text}" ${begin} -1 text)
      string(FIND "${text}" "\nend\n" length)
      math(EXPR length "${length} + 4")
      string(SUBSTRING "${text}" 0 ${length} piece)
      string(SUBSTRING "${text}" ${length} -1 text)
      string(REGEX MATCH "^\nlocal function ([a-z_]+)" ignored "${piece}")
      list(APPEND order FUNCTION_${CMAKE_MATCH_1})
      set(FUNCTION_${CMAKE_MATCH_1} "${piece}" PARENT_SCOPE)
    endwhile()
    set(common_order ${order} PARENT_SCOPE)
  endfunction()

  # What of common/*.lua the text needs, its functions' own needs included: the values, then the functions inside a function,
  # which the text ends. Inside, making a closure copies its references to the values; side by side with them it would
  # search for each (measured: 14 us a call of take, against 7).
  function(common_for text out)
    foreach(piece IN LISTS common_order)
      if(piece MATCHES "^between_")
        string(APPEND text "${${piece}}")
      endif()
    endforeach()
    set(more TRUE)
    while(more)
      set(more FALSE)
      foreach(piece IN LISTS common_order)
        if(piece MATCHES "^FUNCTION_(.*)" AND NOT kept_${piece})
          if(text MATCHES "[^A-Za-z0-9_.]${CMAKE_MATCH_1}[^A-Za-z0-9_]")
            set(kept_${piece} TRUE)
            set(more TRUE)
            string(APPEND text "${${piece}}")
          endif()
        endif()
      endforeach()
    endwhile()
    set(values "")
    set(functions "")
    foreach(piece IN LISTS common_order)
      if(piece MATCHES "^between_")
        string(APPEND values "${${piece}}")
      elseif(kept_${piece})
        string(APPEND functions "${${piece}}")
      endif()
    endforeach()
    set(${out} "${values}\nreturn (function()\n${functions}" PARENT_SCOPE)
  endfunction()

  string(REPLACE "," ";" COMMON "${COMMON}")
  set(common "")
  foreach(name IN LISTS COMMON)
    file(READ ${DIRECTORY}/common/${name}.lua text)
    string(APPEND common "${text}\n")
  endforeach()
  strip_comments("${common}" common)
  split_common("${common}")
  string(REPLACE "," ";" SCRIPTS "${SCRIPTS}")
  string(REPLACE "," ";" ALONE "${ALONE}")
  set(declarations "")
  set(definitions "")
  set(table "")
  set(count 0)
  foreach(name IN LISTS SCRIPTS ALONE)
    file(READ ${DIRECTORY}/${name}.lua text)
    if(NOT text MATCHES "^#!lua[^\n]*\n")
      message(FATAL_ERROR "${name}.lua does not begin with #!lua")
    endif()
    set(first "${CMAKE_MATCH_0}")
    string(LENGTH "${first}" length)
    string(SUBSTRING "${text}" ${length} -1 text)
    strip_comments("${text}" text)
    if(name IN_LIST SCRIPTS)
      common_for("${text}" needed)
      set(text "${needed}${text}\nend)()\n")
    endif()
    strip_blanks("${text}" text)
    set(file ${OUT}/lua/${name}.lua)
    file(WRITE ${file} "${first}${text}")
    file(SIZE ${file} size)
    file(SHA1 ${file} sha1)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " hex "${hex}")
    string(APPEND declarations "extern const iq_script iq_lua_${name};\n")
    string(APPEND definitions "static const unsigned char ${name}_text[${size} + 1] = {\n${hex}0};\n"
      "const iq_script iq_lua_${name} = {\"${name}\", (const char *)${name}_text, ${size}, \"${sha1}\"};\n\n")
    string(APPEND table "    &iq_lua_${name},\n")
    math(EXPR count "${count} + 1")
  endforeach()

  file(CONFIGURE OUTPUT ${OUT}/lua_scripts.h @ONLY CONTENT
"/* Made by cmake/embed_lua.cmake; do not edit. */
#ifndef IQ_QUEUE_LUA_SCRIPTS_H
#define IQ_QUEUE_LUA_SCRIPTS_H

#include \"redis/script.h\"

@declarations@
#endif
")
  file(CONFIGURE OUTPUT ${OUT}/lua_scripts.c @ONLY CONTENT
"/* Made by cmake/embed_lua.cmake; do not edit. */
#include \"queue/scripts.h\"

@definitions@const iq_script *const iq_lua_scripts[] = {
@table@};
const size_t iq_lua_script_count = @count@;
")
  return()
endif()

set(IMGQ_EMBED_LUA ${CMAKE_CURRENT_LIST_FILE})

function(imgq_embed_lua out)
  cmake_parse_arguments(L "" "DIRECTORY" "COMMON;SCRIPTS;ALONE" ${ARGN})
  set(folder ${PROJECT_BINARY_DIR}/generated/queue)
  set(inputs ${IMGQ_EMBED_LUA})
  foreach(name IN LISTS L_COMMON)
    list(APPEND inputs ${L_DIRECTORY}/common/${name}.lua)
  endforeach()
  foreach(name IN LISTS L_SCRIPTS L_ALONE)
    list(APPEND inputs ${L_DIRECTORY}/${name}.lua)
  endforeach()
  string(REPLACE ";" "," common "${L_COMMON}")
  string(REPLACE ";" "," scripts "${L_SCRIPTS}")
  string(REPLACE ";" "," alone "${L_ALONE}")
  add_custom_command(OUTPUT ${folder}/lua_scripts.c ${folder}/lua_scripts.h
    COMMAND ${CMAKE_COMMAND} -DDIRECTORY=${L_DIRECTORY} -DOUT=${folder} -DCOMMON=${common} -DSCRIPTS=${scripts}
      -DALONE=${alone} -P ${IMGQ_EMBED_LUA}
    DEPENDS ${inputs} COMMENT "Embedding the queue's scripts" VERBATIM)
  add_custom_target(imgq_lua ALL DEPENDS ${folder}/lua_scripts.c)
  set(${out} ${folder}/lua_scripts.c ${folder}/lua_scripts.h PARENT_SCOPE)
endfunction()
