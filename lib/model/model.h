/* A model's inside: what a session needs of it. */
#ifndef IQ_MODEL_MODEL_H
#define IQ_MODEL_MODEL_H

#include <imgq/model.h>

#include "nn/net.h"
#include "nn/packs.h"

/** One more holder, given back with imgq_model_close(). @return model */
imgq_model *iq_model_hold(imgq_model *model);
imgq_env *iq_model_env(const imgq_model *model);
const iq_net *iq_model_net(const imgq_model *model);
/** Shared by all sessions. */
iq_packs *iq_model_packs(const imgq_model *model);
/** A session has its weights: the file's pages are not wanted for now. */
void iq_model_rest(const imgq_model *model);

#endif
