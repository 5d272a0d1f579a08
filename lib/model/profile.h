/* How a model wants its pixels prepared: a profile that is built in, or numbers that a file tells. */
#ifndef IQ_MODEL_PROFILE_H
#define IQ_MODEL_PROFILE_H

#include "base/json.h"
#include "model/names.h"
#include "model/weights.h"

/**
 * The recipe of a model: the caller's profile, else the file's own numbers, else the profile that the file names, else
 * the one that its family of names tells.
 * @param wanted  options.profile, NULL: none
 * @return IMGQ_OK; IMGQ_E_INVALID (cannot be told, or no such profile: names the choices)
 */
IMGQ_CHECKED imgq_status iq_profile_choose(const iq_weights *set, iq_family family, const char *wanted,
                                           imgq_recipe *out, imgq_error *err);
/** The way back from iq_recipe_write(). @return IMGQ_OK; IMGQ_E_CORRUPT (names the field) */
IMGQ_CHECKED imgq_status iq_recipe_parse(const iq_json *object, const char *from, imgq_recipe *out, imgq_error *err);
/** Refuses numbers that no picture can be prepared with. @param from  what messages call their source */
IMGQ_CHECKED imgq_status iq_recipe_check(const imgq_recipe *recipe, const char *from, imgq_error *err);
/** Fills recipe->profile: the built-in profile of just these numbers, else a name made of them ("bicubic-235-crop-224",
 *  with a digest where mean or scale are not ImageNet's). */
void iq_recipe_name(imgq_recipe *recipe);

#endif
