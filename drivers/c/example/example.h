/* What an example and the platform that it runs on know of each other. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include "eie.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the example: run it, 0 if all went well; and handle the interrupt of the machine. */
int example(const struct eie_port *port);
void example_interrupt(void);

/* Of the platform: clock cycles since some moment. */
uint64_t platform_cycles(void);

#ifdef __cplusplus
}
#endif

#endif
