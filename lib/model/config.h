/* The config.json of timm and Hugging Face, and Hugging Face's preprocessor_config.json, beside a model file. */
#ifndef IQ_MODEL_CONFIG_H
#define IQ_MODEL_CONFIG_H

#include "model/weights.h"

/** Fills recipe, labels, layout and name of the set from the files beside set->path; files that are not there, and
 *  configurations of other kinds, tell nothing.
 *  @return IMGQ_OK; IMGQ_E_IO; IMGQ_E_CORRUPT; IMGQ_E_UNSUPPORTED (preprocessing that is not done here); IMGQ_E_NOMEM
 */
IMGQ_CHECKED imgq_status iq_told_by_config(iq_weights *set, imgq_error *err);

#endif
