/* Handwritten digits: load the network, recognise held-out images, and compare every output with
 * the golden model's. */
#include <inttypes.h>
#include <stdio.h>

#include "digits_data.h"
#include "example.h"
#include "network.h"

static struct eie machine;
static uint64_t inputs[2][NETWORK_INPUT_BEATS], results[NETWORK_RESULT_BEATS];
static int32_t outputs[DIGITS_N_IMAGES * NETWORK_N_OUTPUTS];

void example_interrupt(void)
{
    eie_interrupt(&machine);
}

static int failed(const char *what, enum eie_status status)
{
    printf("%s: %s\n", what, eie_status_text(status));
    if (status == EIE_FAIL_MACHINE) {
        const struct eie_error error = eie_error(&machine);
        printf("error %" PRIu32 " at %" PRIu32 ": %s\n", error.code, error.address,
               eie_error_text(error.code));
    }
    return 1;
}

/* Compare and clear all outputs; return the number of differences. */
static unsigned compare(void)
{
    unsigned n_wrong = 0;
    for (size_t at = 0; at < DIGITS_N_IMAGES * NETWORK_N_OUTPUTS; at++) {
        if (outputs[at] != digits_expected[at] && n_wrong++ < 10)
            printf("image %zu, output %zu: got %" PRId32 ", expected %" PRId32 "\n",
                   at / NETWORK_N_OUTPUTS, at % NETWORK_N_OUTPUTS, outputs[at],
                   digits_expected[at]);
        outputs[at] = INT32_MIN;
    }
    return n_wrong;
}

static unsigned n_recognised(void)
{
    unsigned n_right = 0;
    for (size_t image = 0; image < DIGITS_N_IMAGES; image++) {
        const int32_t *scores = outputs + image * NETWORK_N_OUTPUTS;
        int32_t digit = 0;
        for (int32_t other = 1; other < NETWORK_N_OUTPUTS; other++)
            if (scores[other] > scores[digit])
                digit = other;
        n_right += digit == digits_labels[image];
    }
    return n_right;
}

int example(const struct eie_port *port)
{
    const struct eie_memory memory = {{inputs[0], inputs[1]}, results};
    enum eie_status status = eie_init(&machine, port);
    if (status == EIE_OK)
        status = eie_load(&machine, &network, &memory);
    if (status != EIE_OK)
        return failed("loading", status);

    uint64_t total = 0, least = UINT64_MAX, greatest = 0, start = platform_cycles();
    for (size_t image = 0; image < DIGITS_N_IMAGES; image++) {
        status = eie_infer(&machine, digits_images + image * NETWORK_N_INPUTS,
                           outputs + image * NETWORK_N_OUTPUTS);
        if (status != EIE_OK)
            return failed("inference", status);
        const uint64_t cycles = eie_counter(&machine, EIE_CYCLES_LO);
        total += cycles;
        least = cycles < least ? cycles : least;
        greatest = cycles > greatest ? cycles : greatest;
    }
    const uint64_t single = platform_cycles() - start;
    const unsigned n_right = n_recognised();
    unsigned n_wrong = compare();

    start = platform_cycles();
    status = eie_infer_batch(&machine, DIGITS_N_IMAGES, digits_images, outputs);
    if (status != EIE_OK)
        return failed("batch", status);
    const uint64_t batch = platform_cycles() - start;
    n_wrong += compare();

    printf("digits, %s: %d images, accuracy %.2f %%\n", port->wait ? "interrupts" : "polling",
           DIGITS_N_IMAGES, 100.0 * n_right / DIGITS_N_IMAGES);
    printf("  program cycles per image  %.1f (%" PRIu64 " to %" PRIu64 ")\n",
           (double)total / DIGITS_N_IMAGES, least, greatest);
    printf("  with the host, one by one %.1f\n", (double)single / DIGITS_N_IMAGES);
    printf("  with the host, in a batch %.1f\n", (double)batch / DIGITS_N_IMAGES);
    printf("  outputs                   %d, %u not as expected\n",
           2 * DIGITS_N_IMAGES * NETWORK_N_OUTPUTS, n_wrong);
    return n_wrong != 0;
}
