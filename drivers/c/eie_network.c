#include "eie_network.h"

/* Cut a patch out of an image. */
static void cut(const struct eie_patches *patches, uint32_t number, const int32_t *image,
                int32_t *vector)
{
    const int top = (int)number / patches->across * patches->stride[0] - patches->padding[0];
    const int left = (int)number % patches->across * patches->stride[1] - patches->padding[1];
    for (int channel = 0; channel < patches->channels; channel++)
        for (int row = 0; row < patches->n_rows; row++)
            for (int column = 0; column < patches->n_columns; column++) {
                const int y = top + row * patches->row_step;
                const int x = left + patches->columns[column];
                const bool inside = y >= 0 && y < patches->height && x >= 0 && x < patches->width;
                *vector++ = inside
                    ? image[(channel * patches->height + y) * patches->width + x] : 0;
            }
}

static enum eie_status submit(struct eie_execution *execution, const struct eie_step *step,
                              uint32_t number)
{
    const struct eie_layers *layers = &step->of.layers;
    const int32_t *tensor = execution->arena + step->operands[0];
    if (layers->patches == NULL)
        return eie_submit(execution->eie, tensor + number * layers->model->n_inputs);
    int32_t *vector = execution->arena + step->operands[1];
    cut(layers->patches, number, tensor, vector);
    return eie_submit(execution->eie, vector);      /* which leaves the vector free */
}

/* Place the results of a patch: each of its pixels has one in each channel. */
static void place(const struct eie_patches *patches, uint32_t number, const int32_t *vector,
                  uint32_t n_rows, int32_t *image)
{
    const uint32_t n_channels = n_rows / patches->pixels, *result = patches->result;
    const uint32_t y = number / (uint32_t)patches->across;
    const uint32_t left = number % (uint32_t)patches->across * patches->pixels;
    for (uint32_t x = left; x < left + patches->pixels && x < result[1]; x++)
        for (uint32_t channel = 0; channel < n_channels; channel++)
            image[(channel * result[0] + y) * result[1] + x] =
                vector[(x - left) * n_channels + channel];
}

/* Take the results of the vector of this number. */
static enum eie_status collect(struct eie_execution *execution, const struct eie_step *step,
                               uint32_t number)
{
    const struct eie_layers *layers = &step->of.layers;
    const uint32_t n_rows = layers->model->outputs[0].n_elements;
    int32_t *tensor = execution->arena + step->result;
    if (layers->patches == NULL)
        return eie_collect(execution->eie, tensor + number * n_rows);
    int32_t *vector = execution->arena + step->operands[1];
    const enum eie_status status = eie_collect(execution->eie, vector);
    if (status == EIE_OK)
        place(layers->patches, number, vector, n_rows, tensor);
    return status;
}

enum eie_status eie_run_layers(struct eie_execution *execution, const struct eie_step *step)
{
    const struct eie_layers *layers = &step->of.layers;
    enum eie_status status = eie_select(execution->eie, layers->model, &execution->memory);
    for (uint32_t submitted = 0, collected = 0; status == EIE_OK && collected < layers->count;) {
        if (submitted < layers->count
            && submitted - collected < eie_most_pending(layers->model))
            status = submit(execution, step, submitted++);
        else
            status = collect(execution, step, collected++);
    }
    return status;
}

enum eie_status eie_run_copy(struct eie_execution *execution, const struct eie_step *step)
{
    const struct eie_copy *copy = &step->of.copy;
    const ptrdiff_t iteration = (ptrdiff_t)execution->iterations[copy->loop];
    eie_move(&copy->elements,
             execution->arena + step->operands[0] + iteration * copy->advance[0],
             execution->arena + step->result + iteration * copy->advance[1]);
    return EIE_OK;
}

enum eie_status eie_run_zeros(struct eie_execution *execution, const struct eie_step *step)
{
    for (size_t at = 0; at < step->of.counts.n; at++)
        execution->arena[step->result + at] = 0;
    return EIE_OK;
}

/* The function of a step whose operands and result are whole tensors, with the count of saturated
 * results as its value. */
#define STEP(name, call) \
    enum eie_status eie_run_##name(struct eie_execution *execution, const struct eie_step *step) \
    { \
        const int32_t *one = execution->arena + step->operands[0]; \
        const int32_t *other = execution->arena + step->operands[1]; \
        int32_t *result = execution->arena + step->result; \
        const unsigned width = execution->network->width; \
        (void)other; \
        execution->n_saturated += call; \
        return EIE_OK; \
    }

STEP(unary, eie_map(step->of.unary.function, one, result, step->of.unary.n, step->frac[0], step->to,
                    width))
STEP(binary, eie_combine(step->of.binary.function, &step->of.binary.elements, one, other, result,
                         step->frac, step->to, width))
STEP(clip, eie_clip(one, result, step->of.limits.n, step->frac[0], step->to, step->of.limits.low,
                    step->of.limits.high, width))
STEP(scale, eie_scale(&step->of.scalings.elements, one, step->of.scalings.by, result,
                      step->of.scalings.low, step->of.scalings.high, width))
STEP(leaky_relu, eie_leaky_relu(&step->of.scalings.elements, one, step->of.scalings.by, result,
                                step->frac[0], step->to, width))
STEP(to_integers, eie_to_integers(&step->of.scalings.elements, one, step->of.scalings.by, result,
                                  step->to, step->of.scalings.low, step->of.scalings.high, width))
STEP(mean, eie_mean(one, result, step->of.counts.n, step->of.counts.count, step->frac[0], step->to,
                    width))
STEP(average_pool, eie_average_pool(&step->of.pool, one, result, step->frac[0], step->to, width))

enum eie_status eie_run_max_pool(struct eie_execution *execution, const struct eie_step *step)
{
    eie_max_pool(&step->of.pool, execution->arena + step->operands[0],
                 execution->arena + step->result);
    return EIE_OK;
}

enum eie_status eie_run_repeat(struct eie_execution *execution, const struct eie_step *step)
{
    const struct eie_repeat *repeat = &step->of.repeat;
    if (++execution->iterations[repeat->loop] < repeat->count)
        execution->at -= repeat->n_steps + 1;
    else
        execution->iterations[repeat->loop] = 0;
    return EIE_OK;
}

static enum eie_status set_inputs(const struct eie_execution *execution, const int32_t *inputs)
{
    const int32_t high = (int32_t)(((uint32_t)1 << (execution->network->width - 1)) - 1);
    for (size_t number = 0; number < execution->network->n_inputs; number++) {
        const struct eie_tensor *tensor = &execution->network->inputs[number];
        const int32_t low = tensor->nonnegative ? 0 : -high - 1;
        for (uint32_t element = 0; element < tensor->n_elements; element++, inputs++) {
            if (*inputs > high || *inputs < low)
                return EIE_FAIL_VALUE;
            execution->arena[tensor->place + element] = *inputs;
        }
    }
    return EIE_OK;
}

static enum eie_status run_from(struct eie_execution *execution, size_t first,
                                const int32_t *inputs, int32_t *outputs)
{
    const struct eie_network *network = execution->network;
    execution->n_saturated = 0;
    for (int loop = 0; loop < EIE_LOOPS; loop++)
        execution->iterations[loop] = 0;
    enum eie_status status = set_inputs(execution, inputs);
    for (execution->at = first; status == EIE_OK && execution->at < network->n_steps;) {
        const struct eie_step *step = &network->steps[execution->at++];
        status = step->run(execution, step);
    }
    if (status != EIE_OK)
        return status;
    for (size_t number = 0; number < network->n_outputs; number++)
        for (uint32_t element = 0; element < network->outputs[number].n_elements; element++)
            *outputs++ = execution->arena[network->outputs[number].place + element];
    return EIE_OK;
}

enum eie_status eie_network_run(struct eie_execution *execution, const int32_t *inputs,
                                int32_t *outputs)
{
    return run_from(execution, 0, inputs, outputs);
}

enum eie_status eie_network_continue(struct eie_execution *execution, const int32_t *inputs,
                                     int32_t *outputs)
{
    if (execution->network->resets_states)
        return EIE_FAIL_STATES;
    return run_from(execution, execution->network->n_resets, inputs, outputs);
}
