/* Interface between an example and its platform. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include "eie.h"

#ifdef __cplusplus
extern "C" {
#endif

/* By the example: run it, returning 0 on success; and handle the machine's interrupt. */
int example(const struct eie_port *port);
void example_interrupt(void);

/* By the platform: clock cycles since an arbitrary origin. */
uint64_t platform_cycles(void);

#ifdef __cplusplus
}
#endif

#endif
