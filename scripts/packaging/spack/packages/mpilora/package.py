import pathlib

from spack.package import *
from spack_repo.builtin.build_systems.cmake import CMakePackage


class Mpilora(CMakePackage):
    """Distributed LoRA fine-tuning of language models on CPU clusters: one program in C on MPI, OpenBLAS and HDF5."""

    # The sources are those of the clone that this file is in; `spack dev-build` and `spack develop` take any folder.
    git = pathlib.Path(__file__).resolve().parents[5].as_uri()

    license("BSD-3-Clause")

    version("main", branch="main")
    version("0.1.0", tag="v0.1.0")

    variant("onednn", default=True, description="Matrix products through oneDNN, which bf16 needs")

    generator("ninja")

    depends_on("c", type="build")
    depends_on("cmake@3.20:", type="build")
    depends_on("pkgconfig", type="build")

    depends_on("mpi")
    depends_on("openblas threads=openmp")
    depends_on("onednn cpu_runtime=omp", when="+onednn")
    depends_on("hdf5")
    depends_on("jansson")
    depends_on("libyaml")
    depends_on("pcre2+jit")
    depends_on("utf8proc")
    depends_on("xxhash")
    depends_on("zlib-api")
    depends_on("zstd")

    def cmake_args(self):
        return [
            self.define("MPILORA_TESTS", False),
            self.define("MPILORA_WERROR", False),
            self.define_from_variant("MPILORA_ONEDNN", "onednn"),
            self.define("OPENBLAS_LIBRARY", self.spec["openblas"].libs[0]),
            self.define("MPI_C_COMPILER", self.spec["mpi"].mpicc),
        ]

    @run_after("install")
    @on_package_attributes(run_tests=True)
    def check_install(self):
        Executable(self.prefix.bin.mpilora)("--version")
