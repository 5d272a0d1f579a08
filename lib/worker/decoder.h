/* One job's payload to one network input, in two steps: what takes long, and what needs to know where the input is. */
#ifndef IQ_WORKER_DECODER_H
#define IQ_WORKER_DECODER_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/image.h>
#include <imgq/queue.h>

#include "worker/batcher.h"

/** What the worker's model wants; immutable, shared by the decoders. */
typedef struct iq_decoder {
    imgq_env *env;
    const imgq_recipe *recipe;           /* borrowed */
    const char *model_name, *model_hash; /* borrowed; NULL: a job's wish for a model is not checked */
    uint32_t exif_apply;                 /* for jobs that do not say */
    uint32_t fast;                       /* 1: imgq_decode_options.fast */
} iq_decoder;

/** Floats of one input by this recipe. */
size_t iq_recipe_input_count(const imgq_recipe *recipe);
/**
 * The long part: a file is decoded and resized, a tensor is checked and stays where it is.
 * @param slot  its job is read; prepared, profile, exif_... and decode_ms are written
 * @return IMGQ_OK; IMGQ_E_NOMEM (try again later); anything else: this input is bad, err says why
 */
imgq_status iq_decoder_prepare(const iq_decoder *decoder, iq_slot *slot, imgq_error *err);
/** The short part: prepared values to the network's input.
 *  @param prepared  of iq_decoder_prepare(), whose job's payload is still there
 *  @param input     out, iq_recipe_input_count() floats
 *  @return IMGQ_OK; IMGQ_E_INVALID (the model's recipe is none) */
imgq_status iq_decoder_fill(const iq_prepared *prepared, float *input, imgq_error *err);

#endif
