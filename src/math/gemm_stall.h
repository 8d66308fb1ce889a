/*
 * OpenBLAS asks the system for the memory of its buffers until it gets it. Under a limit of the address space that is
 * too low (`ulimit -v`, which some sites set for jobs) it never does: the process computes without end, the
 * first time while libraries are loaded, before main() begins. A limit of processor time on these moments makes it an
 * error. The first one is limited by this file itself. Internal to gemm*.c.
 */
#ifndef GEMM_STALL_H
#define GEMM_STALL_H

/* From here to gemm_stall_end(), the process may use some seconds of processor time; after that it prints a line and
 * ends with the status of ERR_MEMORY. */
void gemm_stall_begin(void);
void gemm_stall_end(void);

#endif
