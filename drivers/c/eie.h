/* Bare-metal driver of the EIE accelerator.
 *
 * C99 without allocation, library calls or floating point. It polls, or sleeps between interrupts.
 * Every wait has a limit, and every function that can fail returns a status. Vector elements are
 * fixed-point words; eie_quantise.h converts floating-point numbers. README.md explains porting. */
#ifndef EIE_H
#define EIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eie_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Status codes of functions: name and text. */
#define EIE_STATUSES(X) \
    X(OK, "no failure") \
    X(FAIL_ID, "no EIE accelerator at this address") \
    X(FAIL_VERSION, "the accelerator has another major version than the driver") \
    X(FAIL_CONFIG, "the model was compiled for another machine: see `address`") \
    X(FAIL_CHECKSUM, "the model was corrupted in transfer") \
    X(FAIL_MACHINE, "the machine reports an error: see eie_error()") \
    X(FAIL_TIMEOUT, "the machine or a transfer took too long") \
    X(FAIL_TRANSFER, "a transfer was refused") \
    X(FAIL_LENGTH, "a packet of results has another length than in the model") \
    X(FAIL_BUSY, "inferences are pending, or an earlier call has failed: call eie_clear()") \
    X(FAIL_EMPTY, "no inference is pending, or no model is loaded") \
    X(FAIL_VALUE, "an input is out of range of the machine's activations") \
    X(FAIL_STATES, "the states of the network cannot be continued: run it")

#define EIE_STATUS_NAME(name, text) EIE_##name,
enum eie_status { EIE_STATUSES(EIE_STATUS_NAME) EIE_N_STATUSES };
#undef EIE_STATUS_NAME

/* Platform interface. Each function receives `context`. */
struct eie_port {
    void *context;

    /* Access the register at a byte address. */
    uint32_t (*read)(void *context, uint32_t address);
    void (*write)(void *context, uint32_t address, uint32_t value);

    /* Start sending beats to s_axis, with TLAST on the last one; false if refused. The beats remain
     * valid until `sent` returns true. */
    bool (*send)(void *context, const uint64_t *beats, size_t n_beats);
    bool (*sent)(void *context);

    /* Start receiving a packet of at most `n_bytes` from m_axis; false if refused. `received`
     * returns true when it is complete, and its length. */
    bool (*receive)(void *context, void *buffer, size_t n_bytes);
    bool (*received)(void *context, size_t *n_bytes);

    /* Abort the transfers in both directions; none may continue later. */
    void (*stop)(void *context);

    /* Sleep until the interrupt has been handled since the last `wait`, or a time limit: take a
     * semaphore that the handler gives. NULL for polling. */
    void (*wait)(void *context);

    /* Limit of each wait, in polls and calls of `wait`. The driver polls, even with `wait`, for all
     * that raises no interrupt: a transfer, of which an input may have to wait until a program has
     * read the one before, each vector that precedes the end of its program, and the last vector,
     * which leaves after that end. eie_load and eie_clear poll until a running program has ended
     * and all its vectors have left. Each must take fewer polls than this. */
    uint32_t patience;
};

/* A register and its value. */
struct eie_setting {
    uint32_t address;
    uint32_t value;
};

/* A vector of results: one packet from the machine. */
struct eie_output {
    const char *name;
    uint32_t n_elements;
    int frac;                   /* an element y means y / 2^frac */
    uint32_t n_bytes;           /* length of the packet */
    const uint32_t *places;     /* first bit of each element in the packet */
};

/* Preprocessing of an input element, where `raw` is the number with `frac` fraction bits:
 * word = (raw - offset) * multiplier / 2^shift, rounding halves up and saturating. */
struct eie_preprocessing {
    int32_t offset;
    int32_t multiplier;
    int16_t frac;
    int16_t shift;
};

/* Place of an input element that is not sent, as no result depends on it. */
#define EIE_NOT_SENT UINT32_MAX

/* A network compiled for one machine, as written by `eie export`. */
struct eie_model {
    const char *name;
    const struct eie_setting *expected;     /* registers that identify the machine */
    size_t n_expected;
    const struct eie_setting *settings;     /* registers to write */
    size_t n_settings;

    const uint64_t *beats;                  /* all packets, concatenated; models of one load, whose
                                             * programs are in the memories together, share them */
    const uint32_t *packets;                /* beats of each packet */
    size_t n_packets;
    uint32_t checksum;
    uint32_t descriptor;                    /* first one of the program */
    uint32_t steps;                         /* inferences of a sequence, in which the program keeps
                                             * states; 0 if it has none */
    uint32_t reset;                         /* first descriptors, which reset the states: only the
                                             * first inference of a sequence executes them */

    uint32_t n_inputs;
    int input_frac;                         /* an element x means x / 2^input_frac */
    unsigned input_width;                   /* bits of an element */
    uint32_t input_beats;                   /* beats of the packet of an input vector */
    const uint64_t *input_headers;          /* its first beat, for each input buffer */
    uint32_t n_buffers;
    const uint32_t *input_places;           /* first bit of each element in the packet,
                                             * or EIE_NOT_SENT */
    const uint64_t *clears;                 /* packets that clear what inputs do not fill of their
                                             * rows, one for each buffer */
    uint32_t clear_beats;                   /* beats of each; 0 if inputs fill their rows */

    const struct eie_output *outputs;
    size_t n_outputs;
    unsigned result_width;                  /* bits of an element in a packet of results */

    const struct eie_preprocessing *preprocessing;  /* of each input element, or NULL */
    bool nonnegative_inputs;                /* negative elements are refused */
};

/* Memory for transfers, accessible by the DMA and in cache lines of its own. */
struct eie_memory {
    uint64_t *inputs[2];    /* input_beats each; the second only if the model has two buffers */
    uint64_t *results;      /* beats of all outputs, each output starting on a new beat */
};

/* A machine. The first three members may be read; the rest is private to the driver. */
struct eie {
    const struct eie_port *port;
    const struct eie_model *model;      /* the loaded model, or NULL */
    uint32_t address;                   /* register that differs, after EIE_FAIL_CONFIG */
    struct eie_memory memory;
    uint32_t submitted;                 /* inferences, counted as by register PROGRAMS */
    uint32_t collected;
    uint32_t step;                      /* number of the next inference in its sequence */
    volatile uint32_t ended;            /* written by the interrupt handler, as is `failed` */
    volatile bool failed;
    bool interrupted;                   /* a call did not end: its results may still come */
};

/* The machine's first error. */
struct eie_error {
    uint32_t code;      /* EIE_ERROR_... */
    uint32_t memory;    /* for errors of packets */
    uint32_t pe;        /* for errors of packets */
    uint32_t address;   /* meaning as in eie_error_text() */
};

/* Find a machine, check that it has this driver's major version, and reset it. */
enum eie_status eie_init(struct eie *eie, const struct eie_port *port);

/* Load a model, replacing an earlier one; check the machine's configuration and the checksum. The
 * model and the memory that `memory` points to must remain valid while the model is in use.
 *
 * EIE_FAIL_MACHINE if an error is pending: call eie_clear() first.
 *
 * EIE_FAIL_TIMEOUT, with EIE_STATUS_RECEIVING set, if an earlier load was left in the middle of a
 * packet: call eie_clear(), then load again. */
enum eie_status eie_load(struct eie *eie, const struct eie_model *model,
                         const struct eie_memory *memory);

/* Choose a model for the next inferences. If the loaded one is of the same load, its memories are
 * kept, and only the settings are written; otherwise this is eie_load(). If the model keeps states,
 * the next inference begins a sequence, as after eie_load(), eie_clear() and eie_reset(). */
enum eie_status eie_select(struct eie *eie, const struct eie_model *model,
                           const struct eie_memory *memory);

/* Most inferences that can be pending. */
uint32_t eie_most_pending(const struct eie_model *model);

/* Send an input vector and start its inference, or queue it while others run. If the model keeps
 * states, successive inferences are those of a sequence, then of the next one. If the model has two
 * input buffers, three inferences can be pending, of which the machine runs two at a time; otherwise
 * one. */
enum eie_status eie_submit(struct eie *eie, const int32_t *inputs);

/* Wait for the oldest inference and return the elements of all outputs, concatenated.
 *
 * After a failure other than EIE_FAIL_EMPTY, EIE_FAIL_VALUE or EIE_FAIL_BUSY, all calls that need
 * the machine return EIE_FAIL_BUSY until eie_clear() or eie_reset(): results that are still to come
 * would be taken for those of a later call. The same holds after a call that was left by longjmp()
 * or with its task. */
enum eie_status eie_collect(struct eie *eie, int32_t *outputs);

/* Run one inference. */
enum eie_status eie_infer(struct eie *eie, const int32_t *inputs, int32_t *outputs);

/* Run `count` inferences, sending inputs while earlier inferences run. */
enum eie_status eie_infer_batch(struct eie *eie, size_t count, const int32_t *inputs,
                                int32_t *outputs);

/* Handle the interrupt. Without interrupts, the driver calls it itself. */
void eie_interrupt(struct eie *eie);

/* Recover from an error: abort all inferences and keep the model. A running program continues to its
 * end, and its results are dropped. EIE_FAIL_MACHINE if there is another error afterwards: call it
 * again. */
enum eie_status eie_clear(struct eie *eie);

/* Abort everything and wipe the machine, including the model. */
enum eie_status eie_reset(struct eie *eie);

/* The first error since the last eie_clear(). */
struct eie_error eie_error(const struct eie *eie);

/* A counter of the last completed program, by its lower register, such as EIE_CYCLES_LO; a sum over
 * the programs that overlapped with it in a batch. Valid while no inference is pending. */
uint64_t eie_counter(const struct eie *eie, uint32_t register_lo);

const char *eie_status_text(enum eie_status status);
const char *eie_error_text(uint32_t code);

#ifdef __cplusplus
}
#endif

#endif
