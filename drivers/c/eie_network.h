/* Networks that are graphs: programs of the accelerator, and operations of the processor.
 *
 * `eie export` writes a network as a table of steps. Tensors are in an arena of words, laid out when
 * the network is exported; there is no allocation and no floating point. A step refers to the
 * functions below that it needs, so that a linker can leave out the others (-ffunction-sections,
 * --gc-sections). */
#ifndef EIE_NETWORK_H
#define EIE_NETWORK_H

#include "eie.h"
#include "eie_operations.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { EIE_LOOPS = 4 };     /* most loops inside each other */

/* Patches of an image (channels, height, width), row by row; their elements by channel, row, column.
   A patch computes neighbouring pixels of a row of the result, one after another; of the last patch
   in a row, there may be surplus ones. */
struct eie_patches {
    int channels, height, width;
    int n_rows, n_columns;                  /* of a patch in each channel */
    int row_step;                           /* rows of the image from one row of a patch to the next */
    const int *columns;                     /* columns of the image, from the first of a patch */
    int stride[2];                          /* from patch to patch, along height and width */
    int padding[2];                         /* rows above and columns before the image */
    int across;                             /* patches in a row */
    uint32_t pixels;                        /* of a patch */
    uint32_t result[2];                     /* height and width of the result */
};

/* One inference for each vector or patch. */
struct eie_layers {
    const struct eie_model *model;
    const struct eie_patches *patches;      /* or NULL: vectors are one after another */
    uint32_t count;                         /* vectors */
};

/* Words that are copied, from operand 0 to the result. */
struct eie_copy {
    struct eie_elements elements;
    ptrdiff_t advance[2];                   /* of operand and result, for each iteration of a loop */
    uint8_t loop;
};

/* A function of one word, of eie_arithmetic.h. */
struct eie_unary {
    int64_t (*function)(int32_t word, int frac, int to);
    size_t n;
};

/* A function of two words, of eie_arithmetic.h. */
struct eie_binary {
    int64_t (*function)(int64_t one, int64_t other, const int *frac, int to);
    struct eie_elements elements;
};

struct eie_limits {
    size_t n;
    int64_t low, high;
};

struct eie_scalings {
    struct eie_elements elements;
    const struct eie_scaling *by;
    int64_t low, high;
};

/* Means of `count` words each, one after another; or `n` zeros. */
struct eie_counts {
    size_t n, count;
};

/* The end of a loop. */
struct eie_repeat {
    uint32_t count;                         /* iterations */
    uint32_t n_steps;                       /* before this one */
    uint8_t loop;
};

struct eie_execution;

/* A step: its function, its tensors, and one of the structures above. */
struct eie_step {
    enum eie_status (*run)(struct eie_execution *execution, const struct eie_step *step);
    uint32_t operands[2], result;           /* first words in the arena; of layers with patches,
                                             * operand 1 is room for a vector */
    int frac[2], to;                        /* fraction bits of operands and result */
    union {
        struct eie_layers layers;
        struct eie_copy copy;
        struct eie_unary unary;
        struct eie_binary binary;
        struct eie_limits limits;
        struct eie_scalings scalings;
        struct eie_counts counts;
        struct eie_pool pool;
        struct eie_repeat repeat;
    } of;
};

/* An input or an output of a network. */
struct eie_tensor {
    const char *name;
    uint32_t n_elements;
    uint32_t place;                         /* first word in the arena */
    int frac;                               /* an element x means x / 2^frac */
    bool nonnegative;                       /* of an input: negative elements are refused */
    const struct eie_preprocessing *preprocessing;  /* of an input, or NULL: element number i has
                                             * number i / repeat % n_preprocessing */
    uint32_t n_preprocessing, repeat;
};

/* A network compiled for one machine, as written by `eie export`. */
struct eie_network {
    const char *name;
    unsigned width;                         /* bits of an element */
    const struct eie_tensor *inputs;
    size_t n_inputs;
    const struct eie_tensor *outputs;
    size_t n_outputs;
    const struct eie_step *steps;
    size_t n_steps;
    size_t n_resets;                        /* first steps, which set the states of scans to zero */
    bool resets_states;                     /* programs reset states whenever the network is run, so
                                             * that it cannot be continued */
};

/* A network on a machine. The application sets the first four members. */
struct eie_execution {
    struct eie *eie;                        /* initialised by eie_init */
    const struct eie_network *network;
    struct eie_memory memory;               /* large enough for all programs */
    int32_t *arena;
    size_t n_saturated;                     /* results of operations in the last run that were beyond
                                             * their format; those of layers are not counted */
    size_t at;                              /* the next step */
    uint32_t iterations[EIE_LOOPS];
};

/* Run the network once. Memories are loaded when they do not hold the next program.
 *
 * `inputs` and `outputs` are the elements of all inputs and outputs, concatenated. The states of
 * scans begin at zero.
 *
 * EIE_FAIL_VALUE if an input is out of range. After any other failure call eie_clear(), then run the
 * network again. */
enum eie_status eie_network_run(struct eie_execution *execution, const int32_t *inputs,
                                int32_t *outputs);

/* Run the network with the states of scans that the last run left, for sequences that come in parts.
 * Nothing may have written to the arena meanwhile. After a failure the states are undefined: begin
 * with eie_network_run().
 *
 * EIE_FAIL_STATES if the machine keeps states, of which the next run resets those of this one. */
enum eie_status eie_network_continue(struct eie_execution *execution, const int32_t *inputs,
                                     int32_t *outputs);

/* Functions of steps. */
#define EIE_STEPS(X) \
    X(layers) X(copy) X(zeros) X(unary) X(binary) X(clip) X(scale) X(leaky_relu) X(to_integers) \
    X(mean) X(max_pool) X(average_pool) X(repeat)
#define EIE_STEP(name) \
    enum eie_status eie_run_##name(struct eie_execution *execution, const struct eie_step *step);
EIE_STEPS(EIE_STEP)
#undef EIE_STEP

#ifdef __cplusplus
}
#endif

#endif
