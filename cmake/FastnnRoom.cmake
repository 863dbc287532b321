# fastnn_flags: what every target of ours is compiled with. fastnn_room(): one object library per folder of csrc/.

add_library(fastnn_flags INTERFACE)
target_include_directories(fastnn_flags INTERFACE ${PROJECT_SOURCE_DIR}/csrc)
target_compile_options(
  fastnn_flags
  INTERFACE $<$<NOT:$<CONFIG:Debug>>:-O3>
            -fno-math-errno
            -fno-trapping-math
            # Only the kernels of csrc/cpu may fuse a multiplication and an addition.
            -ffp-contract=$<IF:$<BOOL:$<TARGET_PROPERTY:FASTNN_FP_CONTRACT>>,$<TARGET_PROPERTY:FASTNN_FP_CONTRACT>,off>
            -Wall
            -Wextra
            -Wpedantic
            -Wshadow
            $<$<BOOL:${FASTNN_WERROR}>:-Werror>)

if(FASTNN_SANITIZE)
  # The checks for null make gcc forget that the address of a function is a constant, which the kernel tables need.
  target_compile_options(fastnn_flags INTERFACE -fsanitize=${FASTNN_SANITIZE} -fno-sanitize-recover=all
    -fno-sanitize=null,nonnull-attribute,returns-nonnull-attribute
                                                -fno-omit-frame-pointer -O1)
  target_link_options(fastnn_flags INTERFACE -fsanitize=${FASTNN_SANITIZE})
endif()

# fastnn_room(<folder> [NAME <target>]): csrc/<folder>/*.cpp as the object library <target>, or fastnn_<folder>.
function(fastnn_room folder)
  cmake_parse_arguments(PARSE_ARGV 1 room "" "NAME" "")
  if(NOT room_NAME)
    set(room_NAME fastnn_${folder})
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/csrc/${folder}/*.cpp)
  add_library(${room_NAME} OBJECT ${sources})
  target_link_libraries(${room_NAME} PRIVATE fastnn_flags)
endfunction()
