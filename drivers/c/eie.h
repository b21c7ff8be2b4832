/* Driver of the EIE accelerator, for a processor without an operating system.
 *
 * C99; no allocation, no library, no floating point. It polls, or sleeps between interrupts. Every
 * wait has a limit, and every function that can fail says how. Elements of vectors are fixed-point
 * words; eie_quantise.h makes them of numbers. README.md says how to port it. */
#ifndef EIE_H
#define EIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eie_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a function has come to: name and text. */
#define EIE_STATUSES(X) \
    X(OK, "no failure") \
    X(FAIL_ID, "no EIE accelerator at this address") \
    X(FAIL_VERSION, "the accelerator is of another major version than the driver") \
    X(FAIL_CONFIG, "the model was made for another machine: see `address`") \
    X(FAIL_CHECKSUM, "the model did not arrive as it was sent") \
    X(FAIL_MACHINE, "the machine reports an error: see eie_error()") \
    X(FAIL_TIMEOUT, "the machine or a transfer took too long") \
    X(FAIL_TRANSFER, "a transfer was refused") \
    X(FAIL_LENGTH, "a packet of results was not as long as the model says") \
    X(FAIL_BUSY, "not while inferences are on their way, or as many as there is room for") \
    X(FAIL_EMPTY, "no inference is on its way, or no model is loaded") \
    X(FAIL_VALUE, "an input does not fit the activations of the machine")

#define EIE_STATUS_NAME(name, text) EIE_##name,
enum eie_status { EIE_STATUSES(EIE_STATUS_NAME) EIE_N_STATUSES };
#undef EIE_STATUS_NAME

/* What the driver needs of the platform. All functions get `context`. */
struct eie_port {
    void *context;

    /* Access the register at a byte address. */
    uint32_t (*read)(void *context, uint32_t address);
    void (*write)(void *context, uint32_t address, uint32_t value);

    /* Begin to send beats to s_axis, with TLAST at the end; false if that cannot be. The beats stay
     * where they are until `sent`. */
    bool (*send)(void *context, const uint64_t *beats, size_t n_beats);
    bool (*sent)(void *context);

    /* Begin to receive a packet of at most this length from m_axis; false if that cannot be.
     * `received` says whether its end has come, and if so, how long it was. */
    bool (*receive)(void *context, void *buffer, size_t n_bytes);
    bool (*received)(void *context, size_t *n_bytes);

    /* Give up what is being sent and received. Nothing of it may come later. */
    void (*stop)(void *context);

    /* Sleep until the interrupt has been handled since the last `wait`, or for a while: a semaphore
     * that the handler gives, taken with a time limit. NULL if the driver is to poll. */
    void (*wait)(void *context);

    /* Polls and waits after which the driver gives up. */
    uint32_t patience;
};

/* A register and what it holds. */
struct eie_setting {
    uint32_t address;
    uint32_t value;
};

/* A vector of results: one packet from the machine. */
struct eie_output {
    const char *name;
    uint32_t n_elements;
    int frac;                   /* an element y means y / 2^frac */
    uint32_t n_bytes;           /* of the packet */
    const uint32_t *places;     /* bit of the packet at which each element begins */
};

/* A network, compiled for one machine; `eie export` writes it. */
struct eie_model {
    const char *name;
    const struct eie_setting *expected;     /* what the machine must be */
    size_t n_expected;
    const struct eie_setting *settings;     /* what it must be told */
    size_t n_settings;

    const uint64_t *beats;                  /* all packets, one behind another */
    const uint32_t *packets;                /* beats of each */
    size_t n_packets;
    uint32_t checksum;

    uint32_t n_inputs;
    int input_frac;                         /* an element x means x / 2^input_frac */
    unsigned input_width;                   /* bits of an element */
    uint32_t input_beats;                   /* of the packet of an input vector */
    const uint64_t *input_headers;          /* its first beat, for each input buffer */
    uint32_t n_buffers;
    const uint32_t *input_places;           /* bit of the packet at which each element begins */

    const struct eie_output *outputs;
    size_t n_outputs;
    unsigned result_width;                  /* bits of an element in a packet of results */
};

/* Memory that the transfers use: reached by the DMA, and in cache lines of its own. */
struct eie_memory {
    uint64_t *inputs[2];    /* input_beats each; the second only if the model has two buffers */
    uint64_t *results;      /* beats of all outputs, each from a beat of its own */
};

/* A machine. The first three are for reading, the rest is the driver's. */
struct eie {
    const struct eie_port *port;
    const struct eie_model *model;      /* NULL until one is loaded */
    uint32_t address;                   /* of the register that was not as expected */
    struct eie_memory memory;
    uint32_t submitted;                 /* number of inferences, counted as PROGRAMS counts */
    uint32_t collected;
    volatile uint32_t ended;            /* these two are written where interrupts are handled */
    volatile bool failed;
};

/* Where the machine found the first error. */
struct eie_error {
    uint32_t code;      /* EIE_ERROR_... */
    uint32_t memory;    /* of errors of packets */
    uint32_t pe;        /* of errors of packets */
    uint32_t address;   /* eie_error_text() says of what */
};

/* Look for a machine, check that it is of this driver's major version, and reset it. */
enum eie_status eie_init(struct eie *eie, const struct eie_port *port);

/* Load a model, in place of an earlier one, and check that the machine fits and has all of it. The
 * model stays where it is while it is used, and so does what `memory` points to. */
enum eie_status eie_load(struct eie *eie, const struct eie_model *model,
                         const struct eie_memory *memory);

/* Send an input vector and start its inference; it waits while another one runs. There is room for
 * as many inferences as the model has input buffers. */
enum eie_status eie_submit(struct eie *eie, const int32_t *inputs);

/* Wait for the oldest inference, and get the elements of all outputs, one behind another. */
enum eie_status eie_collect(struct eie *eie, int32_t *outputs);

/* Run one inference. */
enum eie_status eie_infer(struct eie *eie, const int32_t *inputs, int32_t *outputs);

/* Run `count` inferences; inputs are sent while the machine works on earlier ones. */
enum eie_status eie_infer_batch(struct eie *eie, size_t count, const int32_t *inputs,
                                int32_t *outputs);

/* Handle the interrupt. Without interrupts, the driver calls it itself. */
void eie_interrupt(struct eie *eie);

/* Leave an error behind: give up all inferences, keep the model. What still runs ends first; its
 * results are dropped. */
enum eie_status eie_clear(struct eie *eie);

/* Stop everything and wipe the machine; no model is loaded afterwards. */
enum eie_status eie_reset(struct eie *eie);

/* The first error since the last eie_clear(). */
struct eie_error eie_error(const struct eie *eie);

/* A counter of the last program that ended, named by its lower register, such as EIE_CYCLES_LO.
 * Meaningful while no inference is on its way. */
uint64_t eie_counter(const struct eie *eie, uint32_t register_lo);

const char *eie_status_text(enum eie_status status);
const char *eie_error_text(uint32_t code);

#ifdef __cplusplus
}
#endif

#endif
