/* A network: run it for several inputs, and compare every output with the golden model's. */
#include <inttypes.h>
#include <stdio.h>

#include "example.h"
#include "net.h"
#include "net_data.h"

static struct eie machine;
static uint64_t inputs[2][NET_INPUT_BEATS], results[NET_RESULT_BEATS];
static int32_t arena[NET_ARENA_WORDS], outputs[NET_N_OUTPUTS];

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

/* Compare and clear the outputs of an inference; return the number of differences. */
static unsigned compare(size_t inference)
{
    const int32_t *expected = net_expected + inference * NET_N_OUTPUTS;
    unsigned n_wrong = 0;
    for (size_t at = 0; at < NET_N_OUTPUTS; at++) {
        if (outputs[at] != expected[at] && n_wrong++ < 10)
            printf("inference %zu, output %zu: got %" PRId32 ", expected %" PRId32 "\n", inference,
                   at, outputs[at], expected[at]);
        outputs[at] = INT32_MIN;
    }
    return n_wrong;
}

int example(const struct eie_port *port)
{
    struct eie_execution execution = {
        .eie = &machine, .network = &net, .memory = {{inputs[0], inputs[1]}, results},
        .arena = arena};
    enum eie_status status = eie_init(&machine, port);
    if (status != EIE_OK)
        return failed("initialisation", status);

    uint64_t first = 0, others = 0;
    size_t n_saturated = 0;
    unsigned n_wrong = 0;
    for (size_t inference = 0; inference < NET_N_INFERENCES; inference++) {
        const uint64_t start = platform_cycles();
        status = eie_network_run(&execution, net_inputs + inference * NET_N_INPUTS, outputs);
        if (status != EIE_OK)
            return failed("inference", status);
        *(inference == 0 ? &first : &others) += platform_cycles() - start;
        n_saturated += execution.n_saturated;
        n_wrong += compare(inference);
    }

    printf("network, %s: %d inferences, arena of %d words, %zu steps\n",
           port->wait ? "interrupts" : "polling", NET_N_INFERENCES, NET_ARENA_WORDS, net.n_steps);
    printf("  cycles of the first, which loads %" PRIu64 "\n", first);
    printf("  cycles of another                %.1f\n",
           NET_N_INFERENCES > 1 ? (double)others / (NET_N_INFERENCES - 1) : 0.0);
    printf("  results of operations saturated  %zu\n", n_saturated);
    printf("  outputs                          %d, %u not as expected\n",
           NET_N_INFERENCES * NET_N_OUTPUTS, n_wrong);
    return n_wrong != 0;
}
