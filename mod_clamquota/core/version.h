/* version.h - the version of module and tools. */
#ifndef CQ_VERSION_H
#define CQ_VERSION_H

#define CQ_VERSION "0.1.0"

#endif
