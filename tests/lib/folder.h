/* A folder below /tmp that this program alone uses, with all that it puts there. */
#ifndef DARI_TESTS_FOLDER_H
#define DARI_TESTS_FOLDER_H

#include <stdbool.h>

/* For one test, or for a group of them; teardown removes what is in it, too. */
int folder_setup(void **state);
int folder_teardown(void **state);

/* The same, for setups that do more. False: it could not be made. */
bool folder_make(void);
void folder_drop(void);
bool folder_empty(void); /* the same path again, with nothing in it */

/* A path in it; "" is the folder itself. Good for the next three calls. */
const char *in_folder(const char *name);

/* A file for us alone; what cannot be written is an assertion. */
void folder_write(const char *name, const char *text);

/* Of any folder, also one that may not be read; nothing when it is not there. */
void remove_all(const char *path);

#endif
