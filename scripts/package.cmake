# `cpack -G DEB` in a build folder makes a Debian package of it; scripts/packaging/README.md says more.
if(MPI_C_LIBRARIES MATCHES "mpich")
  set(launcher mpich)
else()
  set(launcher openmpi-bin)
endif()
set(CPACK_PACKAGE_CONTACT "the mpilora authors <mpilora@example.org>" CACHE STRING "Who maintains a package that cpack makes")
set(CPACK_PACKAGE_VENDOR "the mpilora authors")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
                                                WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "mpilora fine-tunes language models with LoRA on the CPUs of a workstation or a
cluster. It is one program in C on MPI, OpenBLAS and HDF5. The base model is
frozen; each MPI rank works on a share of every batch, and only the gradients
of the small adapter matrices cross the network.")
# The libraries that the program is linked with, found by dpkg-shlibdeps; mpirun; and of all builds of OpenBLAS the one
# that shares the program's threads.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libopenblas0-openmp, ${launcher}")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3, curl") # of scripts/fetch_model.sh and of what makes the quickstart's data
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/scripts/packaging/deb.cmake)
include(CPack)
