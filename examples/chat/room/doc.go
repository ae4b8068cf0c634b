// Package room is a chat server: rooms, names, history, presence. It owns who
// is where, what was said and in which order, and speaks JSON over SockJS.
//
//	chat, err := room.New(room.Config{Prefix: "/chat", Instance: "chat-1"})
//	if err != nil { … }
//	go http.ListenAndServe(addr, chat.Handler())
//	err = chat.Run(ctx) // until ctx ends; then every session is closed with 3000
//
// Two things are shared when several servers stand behind one balancer: a Log
// of messages and a Table of claimed names. Config takes both as interfaces;
// left out, they live in memory and the server is alone.
//
// What a server knows it knows only from those two: a message is shown when
// the Log delivers it, somebody is present when the Table delivers their row.
// So every server shows the same messages in the same order, and the sender
// sees a message at the place where all others see it.
//
// The package does not know TLS, accounts or disks: whoever holds the key that
// first claimed a name holds the name, until they leave.
package room
