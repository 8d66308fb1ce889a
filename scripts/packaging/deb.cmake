# Run by cpack when the files of a package are laid out and not yet packed: what Debian asks of a package that an
# installation from sources does not need.
if(NOT CPACK_GENERATOR STREQUAL "DEB")
  return()
endif()
set(share ${CPACK_TEMPORARY_DIRECTORY}/usr/share)
set(doc ${share}/doc/mpilora)

# Debian's zsh looks elsewhere for what packages bring.
file(MAKE_DIRECTORY ${share}/zsh/vendor-completions)
file(RENAME ${share}/zsh/site-functions/_mpilora ${share}/zsh/vendor-completions/_mpilora)
file(REMOVE_RECURSE ${share}/zsh/site-functions)

file(READ ${doc}/LICENSE license)
file(WRITE ${doc}/copyright "mpilora, packaged by the cpack of its own sources.\n\n${license}")
file(REMOVE ${doc}/LICENSE)

string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # or SOURCE_DATE_EPOCH, if that is set
file(WRITE ${doc}/changelog.Debian
     "mpilora (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium\n\n"
     "  * Version ${CPACK_PACKAGE_VERSION}, packaged by cpack.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
file(GLOB pages ${share}/man/man1/*.1)
execute_process(COMMAND gzip -9n ${pages} ${doc}/changelog.Debian COMMAND_ERROR_IS_FATAL ANY)

# The OpenMP build of OpenBLAS lies in a folder of its own, beside the other builds: the program looks there first.
file(WRITE ${share}/lintian/overrides/mpilora "mpilora: custom-library-search-path\n")
