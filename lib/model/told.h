/* What a file tells beyond its tensors: our own metadata, and the config.json files that publishers put beside it. */
#ifndef IQ_MODEL_TOLD_H
#define IQ_MODEL_TOLD_H

#include "model/weights.h"

/** Fills name, layout, bn_eps, profile, recipe and labels of a safetensors set from its imgq.* metadata; where they
 *  name no preprocessing, from config.json and preprocessor_config.json in the folder of set->path.
 *  @return IMGQ_OK (also when nothing is told); IMGQ_E_CORRUPT (names key or file); IMGQ_E_UNSUPPORTED; IMGQ_E_NOMEM */
IMGQ_CHECKED imgq_status iq_told_by_file(iq_weights *set, imgq_error *err);
/** Only the metadata: nothing is opened. */
IMGQ_CHECKED imgq_status iq_told_by_metadata(iq_weights *set, imgq_error *err);
/** The end of a path, short enough to leave a message room for what it has to say. */
const char *iq_shown_path(const char *path);
/** False if any byte is a control character: such a text would break the one line of a message. */
bool iq_is_printable(const char *text);

#endif
