// Pushes once over TLS by Go's own client: push URL CA [CERTIFICATE KEY]
package main

import (
	"crypto/tls"
	"crypto/x509"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	pem, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(pem)
	if len(os.Args) > 4 {
		own, err := tls.LoadX509KeyPair(os.Args[3], os.Args[4])
		if err != nil {
			log.Fatal(err)
		}
		// Shown also where the server does not name its authority.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	answer, err := client.Post(os.Args[1], "text/plain", strings.NewReader("a_b 1\n"))
	if err != nil {
		log.Fatal(err)
	}
	if answer.StatusCode != 200 {
		log.Fatal(answer.Status)
	}
}
