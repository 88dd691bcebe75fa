/* Files of local folders and of SFTP servers: exports, documents, HL7 batches. */
#ifndef DARI_ADAPTERS_FILES_FILES_H
#define DARI_ADAPTERS_FILES_FILES_H

#include "core/adapter.h"

extern const struct adapter_ops adapter_files;

#endif
