/*
 * Preloaded, it answers two questions about OpenBLAS in another way than the OpenBLAS that is there. STAND_IN is
 *
 *   core      it does not know this processor, as with those younger than itself: the program restarts itself, with
 *             the kernels of OPENBLAS_CORETYPE
 *   threads   it is the build with threads of its own
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

const char *openblas_get_corename(void);
int openblas_get_parallel(void);

static int stands_in_for(const char *what)
{
    const char *wanted = getenv("STAND_IN");
    return wanted && strcmp(wanted, what) == 0;
}

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

const char *openblas_get_corename(void)
{
    if (stands_in_for("core") && !getenv("OPENBLAS_CORETYPE"))
        return "Prescott";
    return ((__typeof__(openblas_get_corename) *)real("openblas_get_corename"))();
}

int openblas_get_parallel(void)
{
    return stands_in_for("threads") ? 1 : ((__typeof__(openblas_get_parallel) *)real("openblas_get_parallel"))();
}
