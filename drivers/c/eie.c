#include "eie.h"

enum {
    BEAT_WIDTH = 64,
    BEAT_BYTES = 8,
    QUIET_POLLS = 100,  /* polls after which an idle machine sends no more results */
    ACTIVE = EIE_STATUS_BUSY_MASK | EIE_STATUS_RESETTING_MASK,
};

static uint32_t read_register(const struct eie *eie, uint32_t address)
{
    return eie->port->read(eie->port->context, address);
}

static void write_register(const struct eie *eie, uint32_t address, uint32_t value)
{
    eie->port->write(eie->port->context, address, value);
}

/* Check that no inference is pending and no call was interrupted. */
static bool is_ready(const struct eie *eie)
{
    return !eie->interrupted && eie->submitted == eie->collected;
}

static bool has_error(const struct eie *eie)
{
    return read_register(eie, EIE_STATUS) & EIE_STATUS_ERROR_MASK;
}

/* Wait until the bits `mask` of STATUS equal `expected`. */
static enum eie_status await_status(const struct eie *eie, uint32_t mask, uint32_t expected)
{
    for (uint32_t polls = 0; polls < eie->port->patience; polls++)
        if ((read_register(eie, EIE_STATUS) & mask) == expected)
            return EIE_OK;
    return EIE_FAIL_TIMEOUT;
}

/* Send a packet. An input waits until a program has read the one before in its buffer. After an
 * error the machine still takes packets, but drops them. */
static enum eie_status send(const struct eie *eie, const uint64_t *beats, uint32_t n_beats)
{
    const struct eie_port *port = eie->port;
    if (!port->send(port->context, beats, n_beats))
        return EIE_FAIL_TRANSFER;
    for (uint32_t polls = 0; polls < port->patience; polls++)
        if (port->sent(port->context))
            return EIE_OK;
    return EIE_FAIL_TIMEOUT;
}

static uint32_t result_beats(const struct eie_output *output)
{
    return (output->n_bytes + BEAT_BYTES - 1) / BEAT_BYTES;
}

static enum eie_status receive(const struct eie *eie, size_t number)
{
    const struct eie_port *port = eie->port;
    uint64_t *beats = eie->memory.results;
    for (size_t earlier = 0; earlier < number; earlier++)
        beats += result_beats(&eie->model->outputs[earlier]);
    return port->receive(port->context, beats, eie->model->outputs[number].n_bytes)
        ? EIE_OK : EIE_FAIL_TRANSFER;
}

/* Wait for an output of the oldest inference; for its last output also for the end of the program,
 * after which the pending start is accepted. */
static enum eie_status await_output(struct eie *eie, size_t number)
{
    const struct eie_port *port = eie->port;
    const bool last = number + 1 == eie->model->n_outputs;
    for (uint32_t polls = 0; polls < port->patience; polls++) {
        size_t n_bytes;
        const bool received = port->received(port->context, &n_bytes);
        const bool running = eie->ended == eie->collected;
        if (eie->failed)
            return EIE_FAIL_MACHINE;
        if (received && n_bytes != eie->model->outputs[number].n_bytes)
            return has_error(eie) ? EIE_FAIL_MACHINE : EIE_FAIL_LENGTH;
        if (received && !(last && running))
            return EIE_OK;
        if (port->wait == NULL)
            eie_interrupt(eie);
        else if (last && running)   /* only the end of a program raises an interrupt */
            port->wait(port->context);
    }
    return EIE_FAIL_TIMEOUT;
}

/* Receive and drop all results until the machine is idle: a vector may still be leaving after its
 * program has ended. With `clear`, clear errors and the pending start on the way: while an error is
 * pending, that start keeps the machine from becoming idle. The clear waits for the end of a running
 * program, which may delay beats that were accepted: after a clear they would be a header. */
static enum eie_status drain(const struct eie *eie, const struct eie_model *model,
                             const struct eie_memory *memory, bool clear)
{
    const struct eie_port *port = eie->port;
    size_t n_bytes = 0;
    for (size_t number = 0; number < model->n_outputs; number++)
        n_bytes += result_beats(&model->outputs[number]) * BEAT_BYTES;
    bool received = true;
    uint32_t quiet = 0;     /* consecutive polls of a machine that is ready for the next step */
    for (uint32_t polls = 0; quiet < QUIET_POLLS && polls < port->patience; polls += quiet == 0) {
        if (received && !port->receive(port->context, memory->results, n_bytes))
            return EIE_FAIL_TRANSFER;
        received = port->received(port->context, &(size_t){0});
        const uint32_t status = read_register(eie, EIE_STATUS);
        const bool is_quiet = clear ? !(status & ACTIVE)
                                    : !received && (status & EIE_STATUS_IDLE_MASK);
        quiet = is_quiet ? quiet + 1 : 0;
        if (clear && quiet == QUIET_POLLS) {
            write_register(eie, EIE_CONTROL, EIE_CONTROL_CLEAR_MASK);
            clear = false;
            quiet = 0;
        }
    }
    port->stop(port->context);
    return quiet == QUIET_POLLS ? EIE_OK : EIE_FAIL_TIMEOUT;
}

/* Pack an input vector; bits between the elements are zero. */
static enum eie_status pack(const struct eie_model *model, uint32_t buffer, const int32_t *inputs,
                            uint64_t *beats)
{
    const int32_t high = (int32_t)(((uint32_t)1 << (model->input_width - 1)) - 1);
    const int32_t low = model->nonnegative_inputs ? 0 : -high - 1;
    const uint64_t mask = ((uint64_t)1 << model->input_width) - 1;
    beats[0] = model->input_headers[buffer];
    for (uint32_t beat = 1; beat < model->input_beats; beat++)
        beats[beat] = 0;
    for (uint32_t element = 0; element < model->n_inputs; element++) {
        if (inputs[element] > high || inputs[element] < low)
            return EIE_FAIL_VALUE;
        if (model->input_places[element] == EIE_NOT_SENT)
            continue;
        const uint64_t bits = (uint64_t)inputs[element] & mask;
        const uint32_t beat = model->input_places[element] / BEAT_WIDTH;
        const uint32_t first = model->input_places[element] % BEAT_WIDTH;
        beats[beat] |= bits << first;
        if (first + model->input_width > BEAT_WIDTH)
            beats[beat + 1] |= bits >> (BEAT_WIDTH - first);
    }
    return EIE_OK;
}

/* Unpack the elements of all outputs. */
static void unpack(const struct eie_model *model, const uint64_t *beats, int32_t *outputs)
{
    const uint64_t mask = ((uint64_t)1 << model->result_width) - 1;
    const int64_t sign = (int64_t)1 << (model->result_width - 1);
    for (size_t number = 0; number < model->n_outputs; number++) {
        const struct eie_output *output = &model->outputs[number];
        for (uint32_t element = 0; element < output->n_elements; element++) {
            const uint32_t place = output->places[element];
            const int64_t bits = (int64_t)(beats[place / BEAT_WIDTH] >> place % BEAT_WIDTH & mask);
            *outputs++ = (int32_t)((bits ^ sign) - sign);
        }
        beats += result_beats(output);
    }
}

/* Discard pending inferences and interrupts. */
static void discard_pending(struct eie *eie)
{
    const struct eie_port *port = eie->port;
    const uint32_t events = EIE_IRQ_STATUS_DONE_MASK | EIE_IRQ_STATUS_ERROR_MASK;
    write_register(eie, EIE_IRQ_STATUS, events);
    write_register(eie, EIE_IRQ_ENABLE, port->wait == NULL ? 0 : events);
    eie->ended = eie->submitted = eie->collected = read_register(eie, EIE_PROGRAMS);
    eie->failed = eie->interrupted = false;
    eie->step = 0;
}

static void write_settings(const struct eie *eie, const struct eie_model *model)
{
    for (size_t number = 0; number < model->n_settings; number++)
        write_register(eie, model->settings[number].address, model->settings[number].value);
}

enum eie_status eie_init(struct eie *eie, const struct eie_port *port)
{
    *eie = (struct eie){.port = port};
    if (read_register(eie, EIE_ID) != EIE_PRODUCT_ID)
        return EIE_FAIL_ID;
    const uint32_t version = read_register(eie, EIE_VERSION);
    if ((version & EIE_VERSION_MAJOR_MASK) >> EIE_VERSION_MAJOR_SHIFT != EIE_VERSION_MAJOR)
        return EIE_FAIL_VERSION;
    return eie_reset(eie);
}

/* Read a register that identifies the machine. A machine of version 2.0 has no loops, nor what else
 * needs them, and answers a read of these registers with an error. */
static uint32_t read_identity(const struct eie *eie, uint32_t address)
{
    const bool is_later = address == EIE_CONFIG_LOOPS || address == EIE_CONFIG_LOCAL
        || address == EIE_CONFIG_MAXIMUM || address == EIE_CONFIG_PRODUCTS
        || address == EIE_CONFIG_TABLES || address == EIE_CONFIG_SCALES;
    const bool absent = is_later
        && (read_register(eie, EIE_VERSION) & EIE_VERSION_MINOR_MASK) == 0;
    return absent ? 0 : read_register(eie, address);
}

/* Wait until all packets are taken; `status` is that of sending them. */
static enum eie_status end_sending(const struct eie *eie, enum eie_status status)
{
    if (status == EIE_OK)
        status = await_status(eie, EIE_STATUS_IDLE_MASK, EIE_STATUS_IDLE_MASK);
    if (status != EIE_OK)
        return status;
    return has_error(eie) ? EIE_FAIL_MACHINE : EIE_OK;
}

enum eie_status eie_load(struct eie *eie, const struct eie_model *model,
                         const struct eie_memory *memory)
{
    if (!is_ready(eie))
        return EIE_FAIL_BUSY;
    eie->model = NULL;
    for (size_t number = 0; number < model->n_expected; number++) {
        eie->address = model->expected[number].address;
        if (read_identity(eie, eie->address) != model->expected[number].value)
            return EIE_FAIL_CONFIG;
    }
    if (has_error(eie))
        return EIE_FAIL_MACHINE;
    eie->port->stop(eie->port->context);    /* transfers of a call that was interrupted */
    /* The machine is not idle in the middle of a packet that was left: its rest would be taken from
     * the first packets of this model, and their checksum would be right. */
    enum eie_status status = drain(eie, model, memory, false);
    if (status != EIE_OK)
        return status;
    write_register(eie, EIE_CONTROL, EIE_CONTROL_NEW_MODEL_MASK);
    const uint64_t *beats = model->beats;
    for (size_t number = 0; status == EIE_OK && number < model->n_packets; number++) {
        status = send(eie, beats, model->packets[number]);
        beats += model->packets[number];
    }
    status = end_sending(eie, status);
    if (status != EIE_OK)
        return status;
    if (read_register(eie, EIE_CHECKSUM) != model->checksum)
        return EIE_FAIL_CHECKSUM;
    write_settings(eie, model);
    eie->model = model;
    eie->memory = *memory;
    eie->step = 0;
    return EIE_OK;
}

enum eie_status eie_select(struct eie *eie, const struct eie_model *model,
                           const struct eie_memory *memory)
{
    const struct eie_model *const former = eie->model;
    if (former == NULL || former->beats != model->beats)
        return eie_load(eie, model, memory);
    if (!is_ready(eie))
        return EIE_FAIL_BUSY;
    eie->memory = *memory;
    eie->step = 0;
    if (model == former)
        return EIE_OK;
    eie->model = NULL;
    /* The settings are locked until the machine is idle. */
    enum eie_status status = await_status(eie, EIE_STATUS_IDLE_MASK, EIE_STATUS_IDLE_MASK);
    if (status != EIE_OK)
        return has_error(eie) ? EIE_FAIL_MACHINE : status;
    write_settings(eie, model);
    /* Other programs of the load may have written to the rows of the inputs. */
    if (model->clear_beats > 0)
        for (uint32_t buffer = 0; status == EIE_OK && buffer < model->n_buffers; buffer++)
            status = send(eie, model->clears + buffer * model->clear_beats, model->clear_beats);
    status = end_sending(eie, status);
    if (status == EIE_OK)
        eie->model = model;
    return status;
}

/* Two programs in flight and a start use the two input buffers in turn; one buffer, one program. */
uint32_t eie_most_pending(const struct eie_model *model)
{
    return model->n_buffers > 1 ? 3 : 1;
}

enum eie_status eie_submit(struct eie *eie, const int32_t *inputs)
{
    const struct eie_model *model = eie->model;
    if (model == NULL)
        return EIE_FAIL_EMPTY;
    if (eie->interrupted || eie->submitted - eie->collected >= eie_most_pending(model))
        return EIE_FAIL_BUSY;
    const uint32_t buffer = eie->submitted % model->n_buffers;
    uint64_t *beats = eie->memory.inputs[buffer];
    enum eie_status status = pack(model, buffer, inputs, beats);
    if (status != EIE_OK)
        return status;
    eie->interrupted = true;
    if (eie->submitted == eie->collected)
        status = receive(eie, 0);
    if (status == EIE_OK)
        status = send(eie, beats, model->input_beats);
    if (status != EIE_OK)
        return status;
    eie->submitted++;
    const uint32_t descriptor = model->descriptor + (eie->step > 0 ? model->reset : 0);
    write_register(eie, EIE_START, buffer << EIE_START_BUFFER_SHIFT
                                   | descriptor << EIE_START_DESCRIPTOR_SHIFT);
    eie->step = eie->step + 1 < model->steps ? eie->step + 1 : 0;
    eie->interrupted = false;
    return EIE_OK;
}

enum eie_status eie_collect(struct eie *eie, int32_t *outputs)
{
    const struct eie_model *model = eie->model;
    if (model == NULL || eie->submitted == eie->collected)
        return EIE_FAIL_EMPTY;
    if (eie->interrupted)
        return EIE_FAIL_BUSY;
    eie->interrupted = true;
    for (size_t number = 0; number < model->n_outputs; number++) {
        enum eie_status status = number == 0 ? EIE_OK : receive(eie, number);
        if (status == EIE_OK)
            status = await_output(eie, number);
        if (status != EIE_OK)
            return status;
    }
    unpack(model, eie->memory.results, outputs);
    eie->collected++;
    if (eie->submitted != eie->collected && receive(eie, 0) != EIE_OK)
        return EIE_FAIL_TRANSFER;
    eie->interrupted = false;
    return EIE_OK;
}

enum eie_status eie_infer(struct eie *eie, const int32_t *inputs, int32_t *outputs)
{
    return eie_infer_batch(eie, 1, inputs, outputs);
}

enum eie_status eie_infer_batch(struct eie *eie, size_t count, const int32_t *inputs,
                                int32_t *outputs)
{
    if (eie->model == NULL)
        return EIE_FAIL_EMPTY;
    if (!is_ready(eie))
        return EIE_FAIL_BUSY;
    const struct eie_model *model = eie->model;
    size_t n_outputs = 0;
    for (size_t number = 0; number < model->n_outputs; number++)
        n_outputs += model->outputs[number].n_elements;
    for (size_t submitted = 0, collected = 0; collected < count;) {
        enum eie_status status;
        if (submitted < count && submitted - collected < eie_most_pending(model))
            status = eie_submit(eie, inputs + submitted++ * model->n_inputs);
        else
            status = eie_collect(eie, outputs + collected++ * n_outputs);
        if (status != EIE_OK)
            return status;
    }
    return EIE_OK;
}

void eie_interrupt(struct eie *eie)
{
    const uint32_t events = read_register(eie, EIE_IRQ_STATUS);
    if (events == 0)
        return;
    /* Clear before handling, so that later events set the bits again. */
    write_register(eie, EIE_IRQ_STATUS, events);
    if (events & EIE_IRQ_STATUS_ERROR_MASK)
        eie->failed = true;
    if (events & EIE_IRQ_STATUS_DONE_MASK)
        eie->ended = read_register(eie, EIE_PROGRAMS);
}

enum eie_status eie_clear(struct eie *eie)
{
    eie->interrupted = true;
    eie->port->stop(eie->port->context);
    enum eie_status status;
    if (eie->model != NULL) {
        status = drain(eie, eie->model, &eie->memory, true);
    } else {    /* there is no memory for results: eie_load drains them */
        status = await_status(eie, ACTIVE, 0);
        if (status == EIE_OK)
            write_register(eie, EIE_CONTROL, EIE_CONTROL_CLEAR_MASK);
    }
    if (status == EIE_OK && has_error(eie))     /* of a program that has started meanwhile */
        status = EIE_FAIL_MACHINE;
    if (status != EIE_OK)
        return status;
    discard_pending(eie);
    return EIE_OK;
}

enum eie_status eie_reset(struct eie *eie)
{
    eie->model = NULL;
    eie->interrupted = true;
    eie->port->stop(eie->port->context);
    write_register(eie, EIE_CONTROL, EIE_CONTROL_SOFT_RESET_MASK);
    const enum eie_status status = await_status(eie, EIE_STATUS_RESETTING_MASK, 0);
    if (status == EIE_OK)
        discard_pending(eie);
    return status;
}

struct eie_error eie_error(const struct eie *eie)
{
    const uint32_t error = read_register(eie, EIE_ERROR);
    return (struct eie_error){
        .code = (error & EIE_ERROR_CODE_MASK) >> EIE_ERROR_CODE_SHIFT,
        .memory = (error & EIE_ERROR_MEMORY_MASK) >> EIE_ERROR_MEMORY_SHIFT,
        .pe = (error & EIE_ERROR_PE_MASK) >> EIE_ERROR_PE_SHIFT,
        .address = read_register(eie, EIE_ERROR_ADDRESS),
    };
}

uint64_t eie_counter(const struct eie *eie, uint32_t register_lo)
{
    const uint32_t low = read_register(eie, register_lo);
    return (uint64_t)read_register(eie, register_lo + (uint32_t)sizeof low) << 32 | low;
}

const char *eie_status_text(enum eie_status status)
{
#define TEXT(name, text) text,
    static const char *const texts[] = {EIE_STATUSES(TEXT)};
#undef TEXT
    return status < EIE_N_STATUSES ? texts[status] : "unknown status";
}

const char *eie_error_text(uint32_t code)
{
#define TEXT(name, code, text) case code: return text;
    switch (code) {
    EIE_ERROR_CODES(TEXT)
    default: return "unknown error code";
    }
#undef TEXT
}
