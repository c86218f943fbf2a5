/* Hosts and ports, as numbers. */
#ifndef NATIVE_SERVER_ADDRESS_H
#define NATIVE_SERVER_ADDRESS_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "program/say.h"
#include "wire.h"

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
    char text[INET6_ADDRSTRLEN + 10]; /* as sentences name it */
};

/* The first address of a name; 0 where it is not known here. */
static int find_address(const char *host, unsigned port, struct address *address) {
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char number[16], name[INET6_ADDRSTRLEN] = "";
    snprintf(number, sizeof number, "%u", port);
    if (getaddrinfo(host, number, &wanted, &found) != 0 || found == NULL) {
        return 0;
    }
    memset(address, 0, sizeof *address);
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->size = found->ai_addrlen;
    freeaddrinfo(found);
    getnameinfo((struct sockaddr *)&address->storage, address->size, name, sizeof name, NULL, 0,
                NI_NUMERICHOST);
    int is_wide = address->storage.ss_family == AF_INET6;
    snprintf(address->text, sizeof address->text, is_wide ? "[%s]:%u" : "%s:%u", name, port);
    return 1;
}

static int is_loopback(const struct address *address) {
    if (address->storage.ss_family == AF_INET6) {
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&address->storage)->sin6_addr);
    }
    const struct sockaddr_in *place = (const struct sockaddr_in *)&address->storage;
    return ntohl(place->sin_addr.s_addr) >> 24 == 127;
}

/* The port that was taken, where any was asked for. */
static unsigned bound_port(int listener) {
    struct sockaddr_storage place;
    socklen_t size = sizeof place;
    if (getsockname(listener, (struct sockaddr *)&place, &size) != 0) {
        return 0;
    }
    return ntohs(place.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&place)->sin6_port
                                             : ((struct sockaddr_in *)&place)->sin_port);
}

/* A socket that takes connections, or the end of the program. */
static int listen_at(const struct address *address) {
    int listener = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (listener >= 0) {
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    }
    if (listener < 0 ||
        bind(listener, (const struct sockaddr *)&address->storage, address->size) != 0 ||
        listen(listener, 128) != 0) {
        refuse("error: %s cannot be taken (%s): end what uses it, or name another port by --port",
               address->text, strerror(errno));
    }
    fcntl(listener, F_SETFL, O_NONBLOCK);
    return listener;
}

/* A connection that waits `seconds` at most for whatever is done with it; -1 and errno. */
static int connect_to(const struct address *address, int seconds) {
    int connection = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0) {
        return -1;
    }
    wire_set_patience(connection, seconds);
    if (connect(connection, (const struct sockaddr *)&address->storage, address->size) != 0) {
        int problem = errno == EINPROGRESS ? ETIMEDOUT : errno;
        close(connection);
        errno = problem;
        return -1;
    }
    return connection;
}

#endif
