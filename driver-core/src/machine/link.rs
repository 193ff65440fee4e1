//! The machine's links to its LANs.

use super::Machine;
use super::power::NO_NETWORK;
use crate::error::Error;
use crate::lan::Link;
use crate::spec::VlanId;

impl Machine {
    /// What joins the machine to a LAN that it is on. The machine need not run, and changes of the link hold over all its starts.
    pub fn link(&self, vlan: VlanId) -> Result<Link, Error> {
        let attachments = (0..).map_while(|index| self.shared.launch.attachment(index));
        let mut others = Vec::new();
        for (segment, attachment) in attachments {
            if attachment.vlan == vlan {
                let output = self.shared.options.output.clone();
                return Ok(Link::new(vlan, segment.link(self.name()), self.recorder.clone(), output));
            }
            others.push(attachment.vlan.to_string());
        }
        Err(match &others[..] {
            [] => self.cannot("link", NO_NETWORK),
            [only] => self.cannot("link", &format!("it is not on VLAN {vlan}, only on VLAN {only}")),
            _ => self.cannot("link", &format!("it is not on VLAN {vlan}; its VLANs are {}", others.join(", "))),
        })
    }
}
