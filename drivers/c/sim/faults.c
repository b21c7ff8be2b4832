/* Misuse: each fault causes its own status and error code, and inferences work again afterwards.
 *
 * The watchdog is off except where it is the fault: eie_clear must run an abandoned program to its
 * end by draining its results. The more outputs the network has, the harder that is. */
#include <inttypes.h>
#include <stdio.h>

#include "digits_data.h"
#include "example.h"
#include "interrupted_port.h"
#include "network.h"

enum { WATCHDOG = 3000, MOST_BEATS = 1 << 14, MOST_SETTINGS = 64, STRIDE = 7 };

static struct eie machine;
static const struct eie_port *port;
static uint64_t inputs[2][NETWORK_INPUT_BEATS], results[NETWORK_RESULT_BEATS];
static const struct eie_memory memory = {{inputs[0], inputs[1]}, results};
static int32_t outputs[NETWORK_N_OUTPUTS];

void example_interrupt(void)
{
    interrupted.in_handler = true;
    eie_interrupt(&machine);
    interrupted.in_handler = false;
}

static void write_register(uint32_t address, uint32_t value)
{
    port->write(port->context, address, value);
}

static enum eie_status infer(void)
{
    return eie_infer(&machine, digits_images, outputs);
}

static enum eie_status load(const struct eie_model *model)
{
    return eie_load(&machine, model, &memory);
}

/* Load the network with one bit flipped. */
static enum eie_status load_flipped(size_t beat, unsigned bit)
{
    static uint64_t beats[MOST_BEATS];
    size_t n_beats = 0;
    for (size_t packet = 0; packet < network.n_packets; packet++)
        n_beats += network.packets[packet];
    if (n_beats > MOST_BEATS)
        return EIE_N_STATUSES;
    for (size_t at = 0; at < n_beats; at++)
        beats[at] = network.beats[at];
    beats[beat] ^= (uint64_t)1 << bit;
    struct eie_model model = network;
    model.beats = beats;
    return load(&model);
}

/* Load the first packet alone, with its length changed. */
static enum eie_status load_length(int change)
{
    const uint32_t length = (uint32_t)((int)network.packets[0] + change);
    struct eie_model model = network;
    model.packets = &length;
    model.n_packets = 1;
    return load(&model);
}

static enum eie_status another_machine(void)
{
    struct eie_setting expected[MOST_SETTINGS];
    for (size_t at = 0; at < network.n_expected; at++)
        expected[at] = network.expected[at];
    expected[network.n_expected - 1].value ^= 1;
    struct eie_model model = network;
    model.expected = expected;
    return load(&model);
}

static enum eie_status flipped_word(void)
{
    return load_flipped(1, 0);
}

static enum eie_status flipped_header(void)
{
    return load_flipped(0, 63);
}

static enum eie_status early_end(void)
{
    return load_length(-1);
}

static enum eie_status late_end(void)
{
    return load_length(1);
}

static enum eie_status no_program(void)
{
    static struct eie_model model;      /* static, as it remains loaded */
    model = network;
    model.n_packets = 0;
    model.checksum = 0;
    enum eie_status status = eie_reset(&machine);
    if (status == EIE_OK)
        status = load(&model);
    return status == EIE_OK ? infer() : status;
}

static enum eie_status short_watchdog(void)
{
    write_register(EIE_WATCHDOG, 10);
    return infer();
}

static bool accept_nothing(void *context, void *buffer, size_t n_bytes)
{
    (void)context, (void)buffer, (void)n_bytes;
    return true;
}

static bool receive_nothing(void *context, size_t *n_bytes)
{
    port->received(context, n_bytes);   /* advances the clock */
    return false;
}

static enum eie_status results_not_taken(void)
{
    struct eie_port blocked = *port;
    blocked.receive = accept_nothing;
    blocked.received = receive_nothing;
    write_register(EIE_WATCHDOG, WATCHDOG);
    machine.port = &blocked;
    const enum eie_status status = infer();
    machine.port = port;
    return status;
}

static bool never(void *context)
{
    (void)context;
    return false;
}

static enum eie_status transfer_without_end(void)
{
    struct eie_port endless = *port;
    endless.sent = never;
    endless.patience = 100;
    machine.port = &endless;
    const enum eie_status status = infer();
    machine.port = port;
    return status;
}

static enum eie_status transfer_cut_off(void)
{
    port->send(port->context, network.beats, network.packets[0]);
    port->sent(port->context);
    port->sent(port->context);
    port->stop(port->context);
    return EIE_OK;
}

static enum eie_status start_beyond_program(void)
{
    write_register(EIE_START, EIE_START_DESCRIPTOR_MASK);
    return EIE_OK;
}

static enum eie_status third_start(void)
{
    for (int start = 0; start < 3; start++)
        write_register(EIE_START, 0);
    return EIE_OK;
}

static enum eie_status memory_in_use(void)
{
    const enum eie_status status = eie_submit(&machine, digits_images);
    if (status != EIE_OK)
        return status;
    port->send(port->context, network.beats, network.packets[0]);
    while (!port->sent(port->context))
        ;
    return EIE_OK;
}

static enum eie_status reset_while_busy(void)
{
    const enum eie_status status = eie_submit(&machine, digits_images);
    return status == EIE_OK ? eie_reset(&machine) : status;
}

/* Check an inference without a fault. */
static bool works(void)
{
    for (size_t at = 0; at < NETWORK_N_OUTPUTS; at++)
        outputs[at] = INT32_MIN;
    if (infer() != EIE_OK)
        return false;
    for (size_t at = 0; at < NETWORK_N_OUTPUTS; at++)
        if (outputs[at] != digits_expected[at])
            return false;
    return true;
}

/* Leave a batch of other images at every STRIDE-th access: the next inference is refused. */
static enum eie_status left_by_longjmp(void)
{
    static int32_t others[2 * NETWORK_N_OUTPUTS];
    for (long at = 0;; at += STRIDE) {
        const enum eie_status status = interrupted_call(
            &machine, NULL, NULL, 2, digits_images + NETWORK_N_INPUTS, others, at, at % 2);
        if (status == EIE_OK)
            return EIE_OK;
        if (status != EIE_N_STATUSES || infer() != EIE_FAIL_BUSY || eie_clear(&machine) != EIE_OK
            || !works())
            return EIE_N_STATUSES;
    }
}

#define ERROR(name) EIE_ERROR_##name
static const struct fault {
    const char *name;
    enum eie_status (*provoke)(void);
    enum eie_status status;
    uint32_t error;
    bool keeps_model;
} faults[] = {
    {"model for another machine", another_machine, EIE_FAIL_CONFIG, ERROR(NONE), false},
    {"bit flipped in a word", flipped_word, EIE_FAIL_CHECKSUM, ERROR(NONE), false},
    {"bit flipped in a header", flipped_header, EIE_FAIL_MACHINE, ERROR(BAD_HEADER), false},
    {"TLAST too early", early_end, EIE_FAIL_MACHINE, ERROR(TRUNCATED), false},
    {"TLAST too late", late_end, EIE_FAIL_MACHINE, ERROR(OVERLONG), false},
    {"start without a program", no_program, EIE_FAIL_MACHINE, ERROR(NO_END), false},
    {"watchdog too short", short_watchdog, EIE_FAIL_MACHINE, ERROR(TIMEOUT), true},
    {"results not taken", results_not_taken, EIE_FAIL_MACHINE, ERROR(RESULT_BLOCKED), true},
    {"transfer without an end", transfer_without_end, EIE_FAIL_TIMEOUT, ERROR(NONE), true},
    {"transfer cut off", transfer_cut_off, EIE_OK, ERROR(NONE), true},
    {"start beyond the memory", start_beyond_program, EIE_OK, ERROR(START_RANGE), true},
    {"third start", third_start, EIE_OK, ERROR(START_BUSY), true},
    {"memory in use", memory_in_use, EIE_OK, ERROR(LOAD_IN_USE), true},
    {"call left by longjmp", left_by_longjmp, EIE_OK, ERROR(NONE), true},
    {"reset while busy", reset_while_busy, EIE_OK, ERROR(NONE), false},
};

static bool recovers(const struct fault *fault)
{
    if (eie_clear(&machine) != EIE_OK || eie_error(&machine).code != ERROR(NONE))
        return false;
    write_register(EIE_WATCHDOG, 0);
    return (fault->keeps_model || load(&network) == EIE_OK) && works();
}

int example(const struct eie_port *given)
{
    port = given;
    unsigned n_wrong = 0;
    if (eie_init(&machine, port) != EIE_OK || load(&network) != EIE_OK || !works()) {
        printf("faults: the machine must work before\n");
        return 1;
    }
    for (size_t at = 0; at < sizeof faults / sizeof *faults; at++) {
        const struct fault *fault = &faults[at];
        const enum eie_status status = fault->provoke();
        const struct eie_error error = eie_error(&machine);
        const bool reported = status == fault->status && error.code == fault->error;
        const bool works_again = recovers(fault);
        printf("%-26s %-6s%s\n", fault->name,
               !reported ? "WRONG" : works_again ? "ok" : "STUCK",
               error.code == ERROR(NONE) ? eie_status_text(status) : eie_error_text(error.code));
        n_wrong += !(reported && works_again);
    }
    printf("faults, %s: %zu provoked, %u wrong\n", port->wait ? "interrupts" : "polling",
           sizeof faults / sizeof *faults, n_wrong);
    return n_wrong != 0;
}
