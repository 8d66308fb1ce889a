# Writes the header HEADER with the commit of the sources in SOURCE, for --version: what git says of it (GIT is the
# program), or else commit.txt, which git and GitHub fill in when they pack an archive; "" where neither knows. Each
# build runs this, and the header changes only when the commit does.
#
#   cmake -DGIT=git -DSOURCE=. -DHEADER=commit.h -P scripts/commit.cmake

# A folder inside another repository is not a commit of that one. The build trusts the sources, whoever owns them.
function(ask_git output)
  execute_process(COMMAND ${GIT} --no-optional-locks -c safe.directory=* -C ${SOURCE} ${ARGN}
                  OUTPUT_VARIABLE text OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    set(text "")
  endif()
  set(${output} "${text}" PARENT_SCOPE)
endfunction()

set(commit "")
set(date "")
set(modified 0)
if(GIT)
  ask_git(top rev-parse --show-toplevel)
  get_filename_component(here ${SOURCE} REALPATH)
  if(top STREQUAL here)
    ask_git(known log -1 --format=%H/%cs)
    ask_git(changes status --porcelain --untracked-files=no)
    if(changes)
      set(modified 1)
    endif()
  endif()
endif()
if(NOT known AND EXISTS ${SOURCE}/scripts/commit.txt)
  file(STRINGS ${SOURCE}/scripts/commit.txt known LIMIT_COUNT 1)
endif()
if(known MATCHES "^([0-9a-f]+)/([0-9-]+)$")
  set(commit ${CMAKE_MATCH_1})
  set(date ${CMAKE_MATCH_2})
endif()

set(text "/* Made by scripts/commit.cmake. */
#define MPILORA_COMMIT          \"${commit}\" /* empty: not known */
#define MPILORA_COMMIT_DATE     \"${date}\"
#define MPILORA_COMMIT_MODIFIED ${modified} /* 1: the sources have been changed since */
")
set(before "")
if(EXISTS ${HEADER})
  file(READ ${HEADER} before)
endif()
if(NOT text STREQUAL before)
  file(WRITE ${HEADER} "${text}")
endif()
