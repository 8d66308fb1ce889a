# What `cmake --install` puts under the prefix. Nothing in it names the prefix, so that all of it may be moved.
include(GNUInstallDirs)
set(share ${CMAKE_INSTALL_DATADIR}/mpilora)
file(RELATIVE_PATH share_from_bin ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_DATADIR}/mpilora)
target_compile_definitions(mpilora PRIVATE MPILORA_SHARE_FROM_BIN="${share_from_bin}")
install(TARGETS mpilora RUNTIME)

# Job scripts, which `mpilora jobs` copies, and what they tell of.
install(DIRECTORY jobs DESTINATION ${share} USE_SOURCE_PERMISSIONS)
install(PROGRAMS scripts/fetch_model.sh DESTINATION ${share}/scripts)
install(FILES README.md LICENSE scripts/CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

# Module files for Lmod and for Environment Modules: `module use PREFIX/share/mpilora/modulefiles`.
file(RELATIVE_PATH prefix_from_modules ${CMAKE_INSTALL_FULL_DATADIR}/mpilora/modulefiles/mpilora ${CMAKE_INSTALL_PREFIX})
foreach(kind lua tcl)
  configure_file(scripts/modulefile.${kind}.in ${CMAKE_BINARY_DIR}/modulefile.${kind} @ONLY)
endforeach()
install(FILES ${CMAKE_BINARY_DIR}/modulefile.lua DESTINATION ${share}/modulefiles/mpilora RENAME ${PROJECT_VERSION}.lua)
install(FILES ${CMAKE_BINARY_DIR}/modulefile.tcl DESTINATION ${share}/modulefiles/mpilora RENAME ${PROJECT_VERSION})

# Manual pages and completions, as the program prints them.
if(NOT MPILORA_SANITIZE AND NOT MPILORA_SANITIZE_THREADS AND NOT MPILORA_FUZZ)
  set(manuals mpilora.1)
  set(print_manuals COMMAND mpilora --help-man >manual/mpilora.1)
  file(STRINGS include/run/commands.def rows REGEX "^COMMAND")
  foreach(row ${rows})
    string(REGEX REPLACE "^COMMAND.[A-Z]+, ([a-z]+),.*" "\\1" name "${row}")
    list(APPEND manuals mpilora-${name}.1)
    list(APPEND print_manuals COMMAND mpilora --help-man ${name} >manual/mpilora-${name}.1)
  endforeach()
  list(TRANSFORM manuals PREPEND ${CMAKE_BINARY_DIR}/manual/)
  foreach(shell bash zsh fish)
    list(APPEND completions ${CMAKE_BINARY_DIR}/manual/${shell})
    list(APPEND print_completions COMMAND mpilora completion ${shell} >manual/${shell})
  endforeach()
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/manual)
  add_custom_command(OUTPUT ${manuals} ${completions} DEPENDS mpilora include/run/commands.def
                     ${print_manuals} ${print_completions} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
  add_custom_target(manual ALL DEPENDS ${manuals} ${completions})
  install(FILES ${manuals} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${CMAKE_BINARY_DIR}/manual/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
          RENAME mpilora)
  install(FILES ${CMAKE_BINARY_DIR}/manual/zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _mpilora)
  install(FILES ${CMAKE_BINARY_DIR}/manual/fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
          RENAME mpilora.fish)
endif()
