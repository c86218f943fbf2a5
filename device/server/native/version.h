/* What this program is called, which version it is, and whose protocol it speaks. */
#ifndef NATIVE_SERVER_VERSION_H
#define NATIVE_SERVER_VERSION_H

#define SERVER_NAME "mqnet-rpc-server"
#define SERVER_VERSION "1.0"
/* Of TVM's RPC, as TVM 0.27 has it. */
#define PROTOCOL "0.8.0"

#endif
