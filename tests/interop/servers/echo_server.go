// An echo server for the matrix on gorilla/websocket: echo_server compress|plain [CERTIFICATE KEY]. Prints its port.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

func main() {
	upgrader := websocket.Upgrader{EnableCompression: os.Args[1] == "compress"}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer connection.Close()
		for {
			kind, data, err := connection.ReadMessage()
			if err != nil || connection.WriteMessage(kind, data) != nil {
				return
			}
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if len(os.Args) > 3 {
		_ = http.ServeTLS(listener, handler, os.Args[2], os.Args[3])
	} else {
		_ = http.Serve(listener, handler)
	}
}
