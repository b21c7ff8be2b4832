/* A port that leaves a call of the driver by longjmp() at one access, as an interrupt of the caller
 * would. */
#ifndef INTERRUPTED_PORT_H
#define INTERRUPTED_PORT_H

#include <setjmp.h>

#include "eie.h"

static struct {
    const struct eie_port *port;    /* performs the accesses */
    jmp_buf caller;
    long left;                      /* accesses before the interrupted one */
    bool late;                      /* interrupt after the access, not before it */
    bool in_handler;                /* accesses of an interrupt handler are never interrupted */
} interrupted;

/* Perform an access of the port, unless it is the interrupted one. */
#define INTERRUPTED_ACCESS(access) \
    const bool due = !interrupted.in_handler && interrupted.left-- == 0; \
    if (due && !interrupted.late) \
        longjmp(interrupted.caller, 1); \
    access; \
    if (due) \
        longjmp(interrupted.caller, 1)

static uint32_t interrupted_read(void *context, uint32_t address)
{
    INTERRUPTED_ACCESS(const uint32_t value = interrupted.port->read(context, address));
    return value;
}

static void interrupted_write(void *context, uint32_t address, uint32_t value)
{
    INTERRUPTED_ACCESS(interrupted.port->write(context, address, value));
}

static bool interrupted_send(void *context, const uint64_t *beats, size_t n_beats)
{
    INTERRUPTED_ACCESS(const bool done = interrupted.port->send(context, beats, n_beats));
    return done;
}

static bool interrupted_sent(void *context)
{
    INTERRUPTED_ACCESS(const bool done = interrupted.port->sent(context));
    return done;
}

static bool interrupted_receive(void *context, void *buffer, size_t n_bytes)
{
    INTERRUPTED_ACCESS(const bool done = interrupted.port->receive(context, buffer, n_bytes));
    return done;
}

static bool interrupted_received(void *context, size_t *n_bytes)
{
    INTERRUPTED_ACCESS(const bool done = interrupted.port->received(context, n_bytes));
    return done;
}

static void interrupted_stop(void *context)
{
    INTERRUPTED_ACCESS(interrupted.port->stop(context));
}

static void interrupted_wait(void *context)
{
    INTERRUPTED_ACCESS(interrupted.port->wait(context));
}

/* Run a batch, or load `model` if it is not NULL; return EIE_N_STATUSES if the call was left at
 * access number `at`. */
static enum eie_status interrupted_call(struct eie *eie, const struct eie_model *model,
                                        const struct eie_memory *memory, size_t count,
                                        const int32_t *inputs, int32_t *outputs, long at, bool late)
{
    const struct eie_port *port = eie->port;
    const struct eie_port own = {
        .context = port->context, .read = interrupted_read, .write = interrupted_write,
        .send = interrupted_send, .sent = interrupted_sent, .receive = interrupted_receive,
        .received = interrupted_received, .stop = interrupted_stop,
        .wait = port->wait == NULL ? NULL : interrupted_wait, .patience = port->patience,
    };
    enum eie_status status;
    interrupted.port = port;
    interrupted.left = at;
    interrupted.late = late;
    eie->port = &own;
    if (setjmp(interrupted.caller) != 0)
        status = EIE_N_STATUSES;
    else if (model == NULL)
        status = eie_infer_batch(eie, count, inputs, outputs);
    else
        status = eie_load(eie, model, memory);
    eie->port = port;
    return status;
}

#endif
