/* paths.h - where the counters are by default.
 *
 * build.sh defines CQ_STATE_DIR: it lies below the PREFIX that the build is
 * for. */
#ifndef CQ_PATHS_H
#define CQ_PATHS_H

#ifndef CQ_STATE_DIR
#define CQ_STATE_DIR "/var/lib/clamquota"
#endif

#define CQ_TABLE_PATH CQ_STATE_DIR "/clamquota.table"

#endif
