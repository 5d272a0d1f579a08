/* The model files of make_models.py, in a folder of their own that lives as long as the test program. */
#ifndef TEST_MODELS_H
#define TEST_MODELS_H

#include <stdbool.h>

#include <imgq/env.h>

/** Runs make_models.py. @return false, after saying why */
bool models_make(void);
/** Runs make_real.py: the shared weights in other layouts. @return as models_make() */
bool models_make_real(void);
/** Removes the folder and models_env(). */
void models_remove(void);
const char *models_folder(void);
/** "<folder>/name", static until the next eight calls. */
const char *models_path(const char *name);
/** The text that make_models.py left in <folder>/expected/name; static. */
const char *models_text(const char *name);
/** One env for tests that do not count. */
imgq_env *models_env(void);

#endif
